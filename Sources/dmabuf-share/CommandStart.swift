// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

/// Starts a command. One that cannot be found or run is told, and ends this process, as a shell does it.
func start(
    _ command: [CommandWord], environment: [CommandWord], descriptors: borrowing DescriptorList = DescriptorList()
) throws -> ChildProcess {
    do throws(Errno) {
        return try ChildProcess(command, environment: environment, descriptors: descriptors)
    } catch {
        let name = command[0].description.escapedForDisplay
        switch error {
        case .noSuchFileOrDirectory, .notDirectory: throw NotRun(name: name, cause: error, status: Status.notFound)
        case .permissionDenied, .execFormatError, .isDirectory:
            throw NotRun(name: name, cause: error, status: Status.notExecutable)
        default: throw DMABufError.system("run \(name)", error)
        }
    }
}

/// A command that cannot be run or found.
struct NotRun: ToldError {
    let name: String
    let cause: Errno
    let status: Int32

    var explained: DMABufError {
        DMABufError(.failed, "cannot run \(name): \(cause)", cause: cause, remedy: "name a program behind --")
    }
}

/// The signals that a command gets in place of this process, which stays until the command has ended.
func signalsForCommands() throws(DMABufError) -> SignalFD {
    do throws(Errno) {
        return try SignalFD([.terminate, .hangUp, .interrupt, .quit, .user1, .user2])
    } catch { throw .system("wait for signals", error) }
}

/// A command that runs while this process is a client of the registry for it: what the registry says is heard meanwhile,
/// for a client that does not read is cut off.
struct AttendedCommand: ~Copyable {
    private let signals: SignalFD
    private let child: ChildProcess

    init(
        _ command: [CommandWord], environment: [CommandWord],
        descriptors: borrowing DescriptorList = DescriptorList()
    ) throws {
        let signals = try signalsForCommands()
        child = try start(command, environment: environment, descriptors: descriptors)
        self.signals = signals
    }

    /// A fence that ends with the command.
    func fence() throws(DMABufError) -> Fence {
        let pidfd: Descriptor
        do throws(Errno) { pidfd = try child.duplicatePidFD() } catch {
            throw .system("duplicate the command's pidfd", error)
        }
        return try Fence(adopting: pidfd)
    }

    /// Waits for its end, and returns its status. The registry's end is told and does not end the command; `meanwhile` is
    /// called now and then, and says by when again; `alone` once the registry is not heard any more.
    func wait(
        _ registry: inout RegistryConnection, hearing: (Notice) -> Void, alone: () -> Void = {},
        meanwhile: (inout RegistryConnection) throws(RegistryError) -> Deadline? = { _ in nil }
    ) throws -> Int32 {
        do {
            while true {
                let next = try meanwhile(&registry)
                while let notice = try registry.nextNotice(until: .now()) { hearing(notice) }
                let ending = try registry.withDescriptor {
                    try child.wait(forwarding: signals, unless: $0, until: next)
                }
                if let ending { return ending.status }
            }
        } catch let error as RegistryError {
            alone()
            note("the command runs on, and is no client of the registry any more: \(error.asError.message)")
        }
        return try waitForEnd(of: child, signals)
    }
}

/// The status of a command at its end; signals are passed on to it.
func waitForEnd(of child: borrowing ChildProcess, _ signals: borrowing SignalFD) throws -> Int32 {
    do throws(Errno) {
        return try child.wait(forwarding: signals).status
    } catch { throw DMABufError.system("wait for a command", error) }
}
