// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// Standard output and error, written at once: nothing is lost when the process is killed.
public enum StandardStream: Sendable {
    case output, error

    /// Writes all of `text`. A reader that has gone is an error (`brokenPipe`) and no signal: see ``ignoreBrokenPipes()``.
    ///
    /// The corresponding C function is `write`.
    public func write(_ text: String) throws(Errno) {
        // Borrowed for the length of the call: these are not ours to close.
        let stream = Descriptor(adopting: self == .output ? 1 : 2)
        do throws(Errno) {
            try stream.write(text)
        } catch {
            _ = stream.release()
            throw error
        }
        _ = stream.release()
    }

    /// The corresponding C call is `signal(SIGPIPE, SIG_IGN)`.
    public static func ignoreBrokenPipes() {
        signal(SIGPIPE, SIG_IGN)
    }
}
