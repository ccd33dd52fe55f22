// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// What a service manager started this process with: sockets that it listens on for us, and what we gave it to keep.
///
/// | Variable         | what it says                                             |
/// |------------------|----------------------------------------------------------|
/// | `LISTEN_PID`     | the process that is meant; for any other there is nothing |
/// | `LISTEN_FDS`     | how many, from number 3 on                               |
/// | `LISTEN_FDNAMES` | a name for each, with colons between them                |
public struct ServiceDescriptors: ~Copyable, Sendable {
    public var descriptors: DescriptorList
    /// As many as there are descriptors; `unknown` where the manager gave none.
    public let names: [String]

    /// Takes them over, closed on exec from here on, and removes the variables: a child must not take them for its own.
    /// Empty where nothing was passed. `badFileDescriptor` if one of them is not open. To be called once, before any
    /// thread is started (`unsetenv` is not for several threads) and before anything is opened.
    ///
    /// The corresponding C function is libsystemd's `sd_listen_fds_with_names`.
    public static func take() throws(Errno) -> ServiceDescriptors { try take(from: 3) }

    package static func take(from first: Int) throws(Errno) -> ServiceDescriptors {
        let process = OwnProcess.environment("LISTEN_PID")
        let total = OwnProcess.environment("LISTEN_FDS")
        let given = OwnProcess.environment("LISTEN_FDNAMES")
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { OwnProcess.setEnvironment(name, to: nil) }
        guard let process, Int32(process) == getpid(), let count = total.flatMap({ UInt16($0) }), count > 0
        else { return ServiceDescriptors(descriptors: DescriptorList(), names: []) }
        var list = DescriptorList()
        for number in first..<first + Int(count) { list.append(try .inherited(number)) }
        var names = (given ?? "").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if given?.isEmpty != false || names.count != count { names = Array(repeating: "unknown", count: Int(count)) }
        return ServiceDescriptors(descriptors: list, names: names)
    }
}
