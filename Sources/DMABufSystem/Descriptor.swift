// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A file descriptor that is owned: closed when the value ends, moved with `consuming`, duplicated only in plain sight.
@frozen
public struct Descriptor: ~Copyable, Sendable {
    @usableFromInline package let number: CInt

    /// Takes ownership of an open descriptor.
    @inlinable
    package init(adopting number: CInt) {
        self.number = number
    }

    deinit { closeOwned(number) }

    /// Closes now, and says what `close` answered. The descriptor is gone either way (Linux closes before it fails).
    ///
    /// The corresponding C function is `close`.
    public consuming func close() throws(Errno) {
        let number = release()
        try nothingOrErrno(retryOnInterrupt: false) { Glibc.close(number) }
    }

    /// Closes what a stranger sent and nobody here recognised: in a short-lived process, for a hostile file can make
    /// `close` wait for ever, even across SIGKILL. Where no process can be made, it is closed here.
    ///
    /// Returns that process, readable once it has closed the file: so whoever counts those that are held knows which have
    /// ended. To be called by a thread that no other shares its table with (see ``SeparateWorker``): elsewhere, a file that
    /// holds the process keeps everything that is open here open with it.
    @discardableResult
    public consuming func closeElsewhere() -> PidFD? {
        closeStrangers([release()]).first.map { PidFD(adopting: Descriptor(adopting: $0)) }
    }

    /// Another descriptor of the same open file, closed on exec.
    ///
    /// The corresponding C call is `fcntl(F_DUPFD_CLOEXEC)`.
    public borrowing func duplicate() throws(Errno) -> Descriptor {
        let number = self.number
        return Descriptor(adopting: try valueOrErrno { fcntl(number, F_DUPFD_CLOEXEC, 0) })
    }

    /// The number, for a person or for the environment of a child. Owning it stays here.
    public var numberForDisplay: Int { Int(number) }

    @inlinable
    package consuming func release() -> CInt {
        let number = self.number
        discard self
        return number
    }
}

extension Descriptor {
    /// Takes over a descriptor that this process was started with, and marks it close-on-exec.
    ///
    /// Throws `badFileDescriptor` if nothing is open under `number`.
    public static func inherited(_ number: Int) throws(Errno) -> Descriptor {
        guard let number = CInt(exactly: number), number >= 0 else { throw .badFileDescriptor }
        let flags = try valueOrErrno { fcntl(number, F_GETFD) }
        try nothingOrErrno { fcntl(number, F_SETFD, flags | FD_CLOEXEC) }
        return Descriptor(adopting: number)
    }

    /// Opens `path`, closed on exec.
    ///
    /// The corresponding C function is `open`.
    public static func open(_ path: String, _ access: OpenAccess = .readWrite) throws(Errno) -> Descriptor {
        Descriptor(adopting: try valueOrErrno { unsafe Glibc.open(path, access.flags | O_CLOEXEC, access.mode) })
    }

    /// Whether it was opened to read and write.
    ///
    /// The corresponding C call is `fcntl(F_GETFL)`. Safe on any descriptor.
    public var isOpenForWriting: Bool { isOpenToReadAndWrite(number) }

    /// The size in bytes as the file itself says, and never as a peer says: a dma-buf's is fixed for life.
    ///
    /// The corresponding C call is `lseek(SEEK_END)`. Only for an fd whose ``DescriptorKind`` is known: a hostile file
    /// can block here for ever.
    public borrowing func seekableByteCount() throws(Errno) -> UInt64 {
        let number = self.number
        return UInt64(try valueOrErrno { lseek(number, 0, Int32(SEEK_END)) })
    }

    /// What is open, and the size that the file says: a memory file's size, and nothing for a dma-buf. A seek would move
    /// the offset that a memory file's owner shares.
    ///
    /// The corresponding C function is `fstat`. Only for an fd whose kind is known, as above.
    public borrowing func status() throws(Errno) -> (identity: FileIdentity, byteCount: UInt64) {
        var status = stat()
        let number = self.number
        try nothingOrErrno { unsafe fstat(number, &status) }
        let identity = FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        return (identity, UInt64(status.st_size))
    }

    /// Device and inode, the identity of what is open. As above.
    public borrowing func identity() throws(Errno) -> FileIdentity { try status().identity }

    /// Writes all of `text`.
    public borrowing func write(_ text: String) throws(Errno) {
        try unsafe writeAll(Array(text.utf8).span.bytes)
    }

    /// Writes all of `bytes`.
    ///
    /// The corresponding C function is `write`.
    public borrowing func writeAll(_ bytes: RawSpan) throws(Errno) {
        var done = 0
        let number = self.number
        while done < bytes.byteCount {
            done += try valueOrErrno { () -> Int in
                unsafe bytes.withUnsafeBytes { unsafe Glibc.write(number, $0.baseAddress! + done, $0.count - done) }
            }
        }
    }
}

/// How a file is opened.
public enum OpenAccess: Sendable {
    case readOnly, readWrite
    /// What would wait for a device fails with `resourceTemporarilyUnavailable` instead.
    case readWriteNonBlocking
    /// Write only, made if it is missing, emptied if it is there.
    case create
    /// Write only, a new file that only this user may open; `fileExists` if anything is there, a link included.
    case createPrivate

    var flags: CInt {
        switch self {
        case .readOnly: O_RDONLY
        case .readWrite: O_RDWR
        case .readWriteNonBlocking: O_RDWR | O_NONBLOCK
        case .create: O_WRONLY | O_CREAT | O_TRUNC
        case .createPrivate: O_WRONLY | O_CREAT | O_EXCL
        }
    }

    var mode: mode_t { self == .createPrivate ? 0o600 : 0o644 }
}

/// What an open file is, as the kernel counts it: `st_dev` and `st_ino`.
public struct FileIdentity: Hashable, Sendable {
    public let device: UInt64
    public let inode: UInt64
}

func isOpenToReadAndWrite(_ number: CInt) -> Bool {
    let flags = fcntl(number, F_GETFL)
    return flags != -1 && flags & O_ACCMODE == O_RDWR
}

/// EBADF means that the number was closed behind our back and may by now be somebody else's file: a bug, so it traps.
@usableFromInline
package func closeOwned(_ number: CInt) {
    if Glibc.close(number) == -1, errno == EBADF {
        preconditionFailure("descriptor \(number) was closed by someone who did not own it")
    }
}

/// Closes each number in a process of its own, and returns the numbers of their pidfds, which the caller owns. Where no
/// process could be made, it is closed here.
func closeStrangers(_ numbers: [CInt]) -> [CInt] {
    guard !numbers.isEmpty else { return [] }
    var processes = [CInt](repeating: -1, count: numbers.count)
    unsafe numbers.withUnsafeBufferPointer { numbers in
        _ = unsafe processes.withUnsafeMutableBufferPointer {
            unsafe dmabuf_close_elsewhere(numbers.baseAddress!, CInt(numbers.count), $0.baseAddress!)
        }
    }
    for (number, process) in zip(numbers, processes) where process < 0 { closeOwned(number) }
    return processes.filter { $0 >= 0 }
}
