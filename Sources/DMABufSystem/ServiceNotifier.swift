// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// Tells the service manager how this process is doing, where it asked for that (`NOTIFY_SOCKET`). Elsewhere nothing is
/// sent and nothing fails.
///
/// | Swift       | what is sent                     |
/// |-------------|----------------------------------|
/// | `ready`     | `READY=1`                        |
/// | `reloading` | `RELOADING=1`, `MONOTONIC_USEC=` |
/// | `stopping`  | `STOPPING=1`                     |
/// | `status`    | `STATUS=`                        |
public struct ServiceNotifier: ~Copyable, Sendable {
    private let socket: Descriptor?
    private let address: String

    /// For the manager that started this process. The variable is removed, for a child must not speak for us: so call it
    /// before any thread is started.
    public static func take() throws(Errno) -> ServiceNotifier {
        let address = OwnProcess.environment("NOTIFY_SOCKET")
        OwnProcess.setEnvironment("NOTIFY_SOCKET", to: nil)
        return try ServiceNotifier(address: address)
    }

    /// `address` is a path, or a name in the kernel's own name space behind an `@`; nil and the empty one send nothing.
    ///
    /// The corresponding C function is `socket`.
    public init(address: String?) throws(Errno) {
        self.address = address ?? ""
        if self.address.isEmpty {
            socket = nil
        } else {
            let type = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
            socket = Descriptor(adopting: try valueOrErrno { Glibc.socket(AF_UNIX, type, 0) })
        }
    }

    /// Start-up is over, or a reload is.
    public borrowing func ready() throws(Errno) { try send("READY=1") }

    /// The configuration is being read again; ``ready()`` ends it.
    public borrowing func reloading() throws(Errno) {
        try send("RELOADING=1\nMONOTONIC_USEC=\(Deadline.now().nanoseconds / 1000)")
    }

    /// The end has begun.
    public borrowing func stopping() throws(Errno) { try send("STOPPING=1") }

    /// A line for people. A line end in it is a space there: else a name could say more than it should.
    public borrowing func status(_ text: String) throws(Errno) {
        try send("STATUS=" + String(text.map { $0.isNewline ? " " : $0 }))
    }

    /// Never waits: `resourceTemporarilyUnavailable` if the manager has more waiting than it reads.
    ///
    /// The corresponding C function is `sendto`.
    private borrowing func send(_ text: String) throws(Errno) {
        guard let number = descriptorNumber else { return }
        let bytes = Array(text.utf8)
        let flags = CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT)
        try unsafe withUnixAddress(address, abstract: true) { (pointer, length) in
            unsafe bytes.withUnsafeBytes { bytes in
                unsafe sendto(number, bytes.baseAddress, bytes.count, flags, pointer, length) == -1 ? -1 : 0
            }
        }
    }

    private var descriptorNumber: CInt? {
        switch socket {
        case .some(let socket): socket.number
        case .none: nil
        }
    }
}
