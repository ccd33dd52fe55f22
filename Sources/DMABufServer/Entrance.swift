// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// How clients come in.
enum Entrance: ~Copyable {
    case listener(UnixListener)
    /// For those of this process: connections come through one end of a pair, and a ``LocalRegistry`` has the other.
    case door(UnixSocket)

    borrowing func watch(by poller: borrowing Poller) throws(Errno) {
        let token = EventToken.entrance.rawValue
        switch self {
        case .listener(let listener): try poller.add(listener.descriptor, token: token)
        case .door(let door): try poller.add(door.descriptor, token: token)
        }
    }

    borrowing func ignore(by poller: borrowing Poller) throws(Errno) {
        switch self {
        case .listener(let listener): try poller.remove(listener.descriptor)
        case .door(let door): try poller.remove(door.descriptor)
        }
    }

    /// The next connection, or nil if none waits. `brokenPipe`: there will be no other.
    borrowing func next() throws(Errno) -> UnixSocket? {
        switch self {
        case .listener(let listener): return try listener.tryAccept()
        case .door(let door): return try door.nextPassed()
        }
    }

    /// Turns the next one away where no number is left for it; false if that could not be done either.
    borrowing func turnAway(with spare: inout SpareDescriptor) -> Bool {
        switch self {
        case .listener(let listener): spare.turnAway(from: listener)
        // What was sent and could not be taken is closed by the kernel.
        case .door: true
        }
    }
}

extension UnixSocket {
    fileprivate borrowing func nextPassed() throws(Errno) -> UnixSocket? {
        var byte: [UInt8] = [0]
        do throws(ReceiveError) {
            guard var received = try tryReceive(into: &byte) else { return nil }
            guard let descriptor = received.descriptors.takeFirst() else { throw .closed }
            do throws(Errno) { return try UnixSocket(adopting: descriptor) } catch { throw .system(error) }
        } catch {
            switch error {
            case .system(let error): throw error
            case .truncatedBytes, .truncatedDescriptors: throw .tooManyOpenFiles
            case .closed: throw .brokenPipe
            }
        }
    }
}
