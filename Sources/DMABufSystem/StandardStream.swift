// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// Standard output and error, written at once: nothing is lost when the process is killed.
public enum StandardStream: Sendable {
    case output, error

    /// Writes all of `text`. A reader that has gone is an error (`brokenPipe`) once ``prepareProcess()`` was called, and
    /// a signal that ends the process before that.
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

    /// Whether a person may be watching.
    ///
    /// The corresponding C function is `isatty`.
    public var isTerminal: Bool { isatty(self == .output ? 1 : 2) == 1 }

    /// What a program does first, before it opens anything. A standard stream that is closed becomes `/dev/null`: else the
    /// next file opened would take its number, and be written to. SIGPIPE is an error instead. SIGCHLD is as at the start of
    /// a session: ignored, it would lose the status of every child.
    public static func prepareProcess() {
        for number: CInt in 0...2 where fcntl(number, F_GETFD) == -1 {
            // The lowest free number, which is this one.
            _ = unsafe open("/dev/null", number == 0 ? O_RDONLY : O_WRONLY)
        }
        signal(SIGPIPE, SIG_IGN)
        signal(SIGCHLD, SIG_DFL)
    }
}
