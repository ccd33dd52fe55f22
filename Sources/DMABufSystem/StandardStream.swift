// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// Standard output and error, written at once: nothing is lost when the process is killed.
public enum StandardStream: Sendable {
    case output, error

    /// Writes all of `text`. A reader that has gone is an error (`brokenPipe`) once ``prepareProcess()`` was called, and
    /// a signal that ends the process before that.
    ///
    /// The corresponding C function is `write`.
    public func write(_ text: String) throws(Errno) { try write(Array(text.utf8)) }

    /// As above, of bytes.
    public func write(_ bytes: [UInt8]) throws(Errno) {
        try Self.borrowing(self == .output ? 1 : 2) { (stream) throws(Errno) in
            try unsafe stream.writeAll(bytes.span.bytes)
        }
    }

    /// Reads standard input to its end, but at most `limit` bytes.
    ///
    /// The corresponding C function is `read`.
    public static func readInput(limit: Int) throws(Errno) -> [UInt8] {
        try borrowing(0) { (stream) throws(Errno) in try stream.readAll(limit: limit) }
    }

    /// Borrowed for the length of the call: these are not ours to close.
    private static func borrowing<Value>(
        _ number: CInt, _ body: (borrowing Descriptor) throws(Errno) -> Value
    ) throws(Errno) -> Value {
        let stream = Descriptor(adopting: number)
        let result = Result { () throws(Errno) in try body(stream) }
        _ = stream.release()
        return try result.get()
    }

    /// Writes at most ``lineLimit`` bytes of `text`, and never waits: false where nobody has read what was written before.
    /// The stream itself stays as it is, for others write to it, too.
    ///
    /// The corresponding C call is `pwritev2(RWF_NOWAIT)`, which pipes know from Linux 6.5 on; else `ppoll`, and `write` if
    /// there is room.
    public func tryWrite(_ text: String) -> Bool {
        let number: CInt = self == .output ? 1 : 2
        let bytes = Array(text.utf8.prefix(Self.lineLimit))
        return unsafe bytes.withUnsafeBytes { bytes in
            // A file may say that it would have to wait, where nobody would notice.
            if isRead(number) {
                let written = unsafe dmabuf_write_now(number, bytes.baseAddress, bytes.count)
                if written >= 0 { return true }
                if errno == EAGAIN { return false }
            }
            var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
            guard unsafe poll(&entry, 1, 0) == 1, entry.revents & Int16(POLLOUT) != 0 else { return false }
            return unsafe Glibc.write(number, bytes.baseAddress, bytes.count) >= 0
        }
    }

    /// What a pipe takes as a whole or not at all: `PIPE_BUF`.
    public static let lineLimit = 4096

    /// A pipe or a socket.
    private func isRead(_ number: CInt) -> Bool {
        var status = stat()
        guard unsafe fstat(number, &status) == 0 else { return false }
        return [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT)
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
