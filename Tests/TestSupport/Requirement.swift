// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufSystem
public import Testing

/// What a test needs of the machine, in the grammar of backend names: "vgem", "heap:system", "kms:card0".
///
/// The guest hands over the devices that it was built to have in `REQUIRED`. A test for one of those runs whatever this
/// probe says, and fails if the device is missing: there, nothing is skipped.
public enum Machine {
    public static let required: Set<String> = Set(
        (OwnProcess.environment("REQUIRED") ?? "").split(separator: " ").map(String.init))

    public static func has(_ name: String) -> Bool { required.contains(name) || isThere(name) }

    /// Whether it is there now, required or not.
    public static func isThere(_ name: String) -> Bool {
        let parts = name.split(separator: ":", maxSplits: 1).map(String.init)
        switch parts[0] {
        case "root": return OwnProcess.userID == 0
        // A machine whose modules may be unloaded.
        case "guest": return !required.isEmpty
        case "vgem": return (try? VGEM.open()) != nil
        case "udmabuf": return (try? UDMABuf()) != nil
        case "heap": return (try? DMAHeap(named: parts[1])) != nil
        case "dumb", "drm": return (try? DRMNode(parts[1]).hasDumbBuffers) == true
        case "kms": return (try? DRMNode(parts[1]).hasDisplay) == true
        case "v4l2": return (try? V4L2.capabilities("/dev/\(parts[1])")) != nil
        case "gbm": return (try? ExporterBackend.open(name)) != nil
        case "timeline": return (try? TimelineDevice(node: parts[1])) != nil
        case "vulkan": return (try? ImporterBackend.open(name)) != nil
        case "python3": return (try? Running(["python3", "--version"]).finish())?.status == 0
        case "setpriv": return (try? Running(["setpriv", "--version"]).finish())?.status == 0
        case "strace": return (try? Running(["strace", "-V"]).finish())?.status == 0
        case "screenshot": return Folder.names("/run/guest").contains("port.shot")
        case "fuse": return (try? Descriptor.open("/dev/fuse")) != nil
        case "rxe": return !Folder.names("/sys/class/infiniband").isEmpty
        // One that nothing can meet would skip its test everywhere.
        default: preconditionFailure("nothing is known of \(name)")
        }
    }
}

extension Trait where Self == ConditionTrait {
    /// Runs the test where the machine has `names`; elsewhere it is skipped, and says for want of what.
    public static func requires(_ names: String...) -> Self {
        .enabled(if: names.allSatisfy(Machine.has), "this machine has not all of: \(names.joined(separator: ", "))")
    }
}
