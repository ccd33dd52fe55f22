// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import Logging
import SystemPackage

/// The descriptors of the fences that are pending. The first signal is latched: a peer's `read` could reset an eventfd.
struct FenceTable {
    private var entries: [FenceID: Fence] = [:]
    /// To whom each is charged.
    private var users: [FenceID: UInt32] = [:]

    var count: Int { entries.count }

    subscript(id: FenceID) -> Fence? {
        get { entries[id] }
        set { entries[id] = newValue }
    }

    mutating func charge(_ id: FenceID, to user: UInt32) { users[id] = user }
    mutating func uncharge(_ id: FenceID) -> UInt32? { users.removeValue(forKey: id) }
}

extension RegistryServer {
    mutating func watch(_ id: FenceID) {
        guard let fence = arriving.fence.take() else { return }
        do {
            try poller.add(fence.descriptor, token: EventToken.fence(id).rawValue)
            fences[id] = fence
            guard let user = arriving.client?.identity.user else { return }
            budget.fences.take(for: user)
            fences.charge(id, to: user)
        } catch {
            note(.warning, "a fence cannot be watched", ["fence": "\(id.rawValue)", "error": "\(error)"])
            observations.append(.fenceEnded(id, .error(error.rawValue)))
        }
    }

    /// Others may have the same open file, which the poller would go on watching.
    mutating func drop(_ id: FenceID) {
        guard let fence = fences[id] else { return }
        try? poller.remove(fence.descriptor)
        fences[id] = nil
        if let user = fences.uncharge(id) { budget.fences.giveBack(of: user) }
    }

    mutating func fenceSignalled(_ id: FenceID) {
        guard let fence = fences[id] else { return }
        let end: FenceEnd
        switch try? fence.status() {
        case .signalled: end = .ok
        case .failed(let error): end = .error(error.rawValue)
        // Somebody has read the eventfd meanwhile; it did signal.
        case .pending, nil: end = .ok
        }
        drop(id)
        observations.append(.fenceEnded(id, end))
        observe()
    }
}
