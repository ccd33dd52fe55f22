// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// An open node of a device that can go away under it.
protocol DeviceNode {
    var path: String { get }
    /// Whether the device was unbound from its driver or unplugged while the node was open. Asks the kernel.
    var isGone: Bool { get }
}

extension DRMNode: DeviceNode {}
extension V4L2Node: DeviceNode {}

extension DeviceNode {
    /// Throws `gone` if the device is no more.
    func checkIsThere() throws(DMABufError) {
        if isGone { throw .gone(path, .operationNotSupportedByDevice) }
    }

    /// Runs a call of the system layer on it. Throws what was tried, and `gone` if the device is no more.
    func asking<Value: ~Copyable>(
        _ operation: @autoclosure () -> String, remedy: @autoclosure () -> String? = nil,
        _ call: () throws(Errno) -> Value
    ) throws(DMABufError) -> Value {
        do throws(Errno) { return try call() } catch { throw .device(operation(), error, self, remedy: remedy()) }
    }
}

extension DMABufError {
    /// An error of a device's: once it is unbound from its driver or unplugged, every call says ENODEV, and so does a
    /// driver that is asked for what it cannot do.
    static func device(
        _ operation: String, _ cause: Errno, _ node: some DeviceNode, remedy: String? = nil
    ) -> DMABufError {
        guard cause == .operationNotSupportedByDevice, node.isGone else {
            return .system(operation, cause, remedy: remedy)
        }
        return .gone(node.path, cause, when: "\(operation): ")
    }

    static func gone(_ path: String, _ cause: Errno, when operation: String = "") -> DMABufError {
        DMABufError(
            .gone, "\(operation)the device \(path) is gone", cause: cause,
            remedy: "it was unbound from its driver or unplugged; open it anew once it is back")
    }
}
