// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage

/// A process that makes one buffer, and fills it from another if need be. The daemon itself opens no device and maps no
/// memory: whatever hangs or dies while doing so is this process, and ends at its deadline.
final class WorkerProcess {
    /// What its work is for.
    enum Purpose {
        case allocation(ClientID, RequestNumber, Allocation)
        case copy(GenerationKey)
    }

    let number: UInt64
    let purpose: Purpose
    let socket: UnixSocket
    /// Whom it works for: who asked for the buffer, or whose the buffer is that it copies.
    let user: UInt32
    let end: Instant
    private let child: ChildProcess

    /// Starts `command` with a socket as its descriptor 3, and gives it its order.
    init(
        _ number: UInt64, _ command: [CommandWord], _ purpose: Purpose, _ order: WorkOrder,
        from source: [DMABuffer], for user: UInt32, until end: Instant
    ) throws(Errno) {
        let pair = try UnixSocket.pair()
        let bytes = Envelope(serial: 1, .order(order)).encoded()
        // Before there is a process: where this fails none is left behind.
        let sent = try pair.first.trySend(bytes.span, with: DescriptorList(lending: source))
        guard sent == .sent else { throw .noBufferSpace }
        var passed = DescriptorList()
        passed.append(try pair.second.descriptor.duplicate())
        let child = try ChildProcess(command, environment: OwnProcess.environment, descriptors: passed)
        self.number = number
        self.purpose = purpose
        self.user = user
        self.end = end
        self.child = child
        socket = pair.first
    }

    func watch(with poller: borrowing Poller) throws(Errno) {
        try poller.add(socket.descriptor, token: EventToken.worker(number).rawValue)
        try child.watchEnd(with: poller, token: EventToken.workerEnded(number).rawValue)
    }

    /// Kills it, if it is there still. Its end may take a while, if it has much memory to let go of or hangs in a driver:
    /// it is told, and not waited for.
    func kill(_ poller: borrowing Poller) {
        try? poller.remove(socket.descriptor)
        try? child.send(.kill)
    }

    /// To be called when its end was told.
    func reap() { _ = try? child.wait(until: .now()) }
}
