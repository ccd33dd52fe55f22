// SPDX-License-Identifier: Apache-2.0

/// A part of the kernel of which no device is here: which word, module and option it goes by, and where it can be had.
struct MissingPart {
    let id: String
    let module: String
    /// Without `CONFIG_`.
    let option: String
    /// The Debian kernel that has it.
    let package: String

    /// - Parameter modules: why it is missing depends on what they say.
    func check(_ modules: ModuleIndex) -> Check {
        switch modules.state(of: module, option: option) {
        case .active:
            .bad(
                id, "the kernel has it and made no device", remedy: "look for `\(module)` in dmesg")
        case .loadable:
            .bad(id, "the module \(module) is not loaded", remedy: "sudo modprobe \(module)")
        case .notInstalled:
            .bad(
                id, "the module \(module) of this kernel is not installed",
                remedy: "install the package with the kernel's further modules (Ubuntu: linux-modules-extra-"
                    + "\(modules.release)), then sudo modprobe \(module)")
        case .notBuilt:
            .bad(id, "the kernel \(modules.release) has no CONFIG_\(option)", remedy: "boot \(package)")
        case .unknown:
            .bad(
                id, "the kernel \(modules.release) shows none, and its modules are not here to look at",
                remedy: "on the host: sudo modprobe \(module), or boot \(package)")
        }
    }
}
