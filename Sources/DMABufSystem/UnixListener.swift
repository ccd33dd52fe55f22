// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// A `SOCK_SEQPACKET` unix socket that accepts connections. The file that it made is removed when the value ends; what
/// it was handed by a service manager stays.
public struct UnixListener: ~Copyable, Sendable {
    public let descriptor: Descriptor
    /// Empty for one that was handed over.
    public let path: String
    /// The file that was made here.
    private let file: FileIdentity?

    /// Binds `path`, which must not exist, and listens. `mode` says who may connect (they need to write): by default this
    /// user and root alone. `addressInUse` if something is there.
    ///
    /// The corresponding C functions are `bind`, `chmod` and `listen`.
    public init(_ path: String, mode: UInt32 = 0o600, backlog: CInt = 16) throws(Errno) {
        let socket = try UnixSocket.newSocket()
        let number = socket.number
        try unsafe withUnixAddress(path) { address, length in unsafe bind(number, address, length) }
        do throws(Errno) {
            // Nobody can connect before `listen`, so the mode holds from the first connection on, whatever the umask.
            try nothingOrErrno { unsafe chmod(path, mode) }
            try nothingOrErrno { listen(number, backlog) }
            try setNonBlocking(number)
        } catch {
            unsafe unlink(path)
            throw error
        }
        descriptor = socket
        self.path = path
        file = FileIdentity(ofLink: path)
    }

    /// Binds `path` for a daemon, and takes a socket away that nobody listens on any more. `addressInUse` if somebody
    /// listens there, `fileExists` if what is there is no socket, `timedOut` if the folder stays locked until `deadline`.
    ///
    /// A refused connection means a file left behind, or one whose owner is between `bind` and `listen`: so all this is
    /// done under a lock on the folder, as everyone does who listens here.
    public init(claiming path: String, mode: UInt32 = 0o600, until deadline: Deadline) throws(Errno) {
        let lock = try FolderLock(holding: path, until: deadline)
        switch FileType(at: path) {
        case .missing: break
        case .other: throw .fileExists
        case .socket:
            if try UnixListener.isAlive(at: path) { throw .addressInUse }
            try FileType.remove(path)
        }
        try self.init(path, mode: mode, backlog: 1024)
        lock.unlock()
    }

    /// Takes over a listening socket that a service manager made (see ``ServiceDescriptors``). `invalidArgument` unless
    /// it is a `SOCK_SEQPACKET` unix socket that listens. Its file is the manager's and stays.
    ///
    /// The corresponding C calls are `getsockopt` of `SO_DOMAIN`, `SO_TYPE` and `SO_ACCEPTCONN`, and
    /// `fcntl(O_NONBLOCK)`.
    public init(adopting descriptor: consuming Descriptor) throws(Errno) {
        let number = descriptor.number
        guard
            try integerOption(number, SO_DOMAIN) == AF_UNIX,
            try integerOption(number, SO_TYPE) == CInt(SOCK_SEQPACKET.rawValue),
            try integerOption(number, SO_ACCEPTCONN) == 1
        else { throw .invalidArgument }
        // Accepted sockets inherit these, and they would bring more than SCM_RIGHTS.
        UnixSocket.clearPassedOptions(number)
        try setNonBlocking(number)
        self.descriptor = descriptor
        path = ""
        file = nil
    }

    /// Whether the file that was made here is still where it was: without it nobody new can connect.
    public var isInPlace: Bool { file != nil && FileIdentity(ofLink: path) == file }

    /// Where it listens; nil if that is no path.
    ///
    /// The corresponding C function is `getsockname`.
    public var boundPath: String? {
        if !path.isEmpty { return path }
        var address = sockaddr_un()
        var length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let number = descriptor.number
        let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(number, $0, &length) }
        }
        guard result == 0, Int(length) > MemoryLayout<sa_family_t>.size else { return nil }
        let bytes = unsafe withUnsafeBytes(of: address.sun_path) { unsafe Array($0.prefix { $0 != 0 }) }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    deinit {
        // Still listening here, so nobody has taken the file over; but somebody may have put another in its place.
        if let file, FileIdentity(ofLink: path) == file { unsafe unlink(path) }
    }

    /// The next connection; `timedOut` at `deadline`.
    ///
    /// The corresponding C function is `accept4`.
    public borrowing func accept(until deadline: Deadline) throws(Errno) -> UnixSocket {
        while true {
            if let socket = try tryAccept() { return socket }
            if try Poll.wait(descriptor, for: .readable, until: deadline).isEmpty { throw .timedOut }
        }
    }

    /// As above; `interrupted` when a signal has arrived, which stays to be read.
    public borrowing func accept(
        until deadline: Deadline, unless signals: borrowing SignalFD
    ) throws(Errno) -> UnixSocket {
        let poller = try Poller()
        try poller.add(descriptor, token: 0)
        try poller.add(signals.descriptor, token: 1)
        while true {
            switch try poller.next(until: deadline) {
            case 0: if let socket = try tryAccept() { return socket }
            case nil: throw .timedOut
            default: throw .interrupted
            }
        }
    }

    /// The next connection, or nil if none waits; it never waits itself. `tooManyOpenFiles` leaves the connection in the
    /// queue: see ``SpareDescriptor``.
    ///
    /// The corresponding C function is `accept4`.
    public borrowing func tryAccept() throws(Errno) -> UnixSocket? {
        let number = descriptor.number
        do throws(Errno) {
            return UnixSocket(socket: Descriptor(adopting: try valueOrErrno { dmabuf_accept(number) }))
        } catch {
            guard error == .resourceTemporarilyUnavailable || error == .connectionAbort else { throw error }
            return nil
        }
    }

    /// Whether somebody listens on the socket. A full queue is a sign of life, too.
    private static func isAlive(at path: String) throws(Errno) -> Bool {
        do throws(Errno) {
            _ = try UnixSocket.connect(to: path, until: .now())
            return true
        } catch {
            switch error {
            case .connectionRefused, .noSuchFileOrDirectory: return false
            // Of another type, but somebody's.
            case .timedOut, .protocolWrongTypeForSocket: return true
            default: throw error
            }
        }
    }
}

extension FileIdentity {
    /// What lies at `path`, without following a link; nil if nothing does.
    fileprivate init?(ofLink path: String) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return nil }
        self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }
}

private func setNonBlocking(_ number: CInt) throws(Errno) {
    let flags = try valueOrErrno { fcntl(number, F_GETFL) }
    try nothingOrErrno { fcntl(number, F_SETFL, flags | O_NONBLOCK) }
}

/// Calls `body` with `path` as an address; `fileNameTooLong` past the 107 bytes that `sun_path` holds. Where `abstract`
/// names are allowed, one that begins with `@` is in the kernel's own name space, and no file.
func withUnixAddress(
    _ path: String, abstract: Bool = false, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
) throws(Errno) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let room = MemoryLayout.size(ofValue: address.sun_path) - 1
    guard path.utf8.count <= room, !path.isEmpty else { throw path.isEmpty ? .invalidArgument : .fileNameTooLong }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    var length = MemoryLayout<sockaddr_un>.size
    if abstract, path.utf8.first == UInt8(ascii: "@") {
        // Every byte counts there, so the length is exact.
        length -= room + 1 - path.utf8.count
        address.sun_path.0 = 0
    }
    try unsafe withUnsafePointer(to: &address) { (pointer) throws(Errno) in
        try unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { (pointer) throws(Errno) in
            try nothingOrErrno { unsafe body(pointer, socklen_t(length)) }
        }
    }
}
