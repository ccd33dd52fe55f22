// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

/// What is known of the running kernel's modules, without loading any.
struct ModuleIndex: Sendable {
    /// `uname -r`.
    let release: String
    /// `modules.dep`: what can be loaded; nil if it is not here, as in a container.
    let loadable: [UInt8]?
    /// `modules.builtin`: what could have been a module and is part of the kernel.
    let builtIn: [UInt8]?
    /// The configuration that the kernel was built with, where the distribution installs it.
    let configuration: [UInt8]?
    /// Whether the module is in the kernel now, built in or loaded.
    let isActive: @Sendable (String) -> Bool

    static func read() -> ModuleIndex {
        let release = Sysfs.text("/proc/sys/kernel/osrelease") ?? ""
        let folder = "/lib/modules/\(release)"
        return ModuleIndex(
            release: release, loadable: try? Sysfs.bytes("\(folder)/modules.dep", limit: limit),
            builtIn: try? Sysfs.bytes("\(folder)/modules.builtin", limit: limit),
            configuration: (try? Sysfs.bytes("/boot/config-\(release)", limit: limit))
                ?? (try? Sysfs.bytes("\(folder)/config", limit: limit)),
            isActive: { (try? FileOwner(of: "/sys/module/\($0)")) != nil })
    }

    private static let limit = 16 << 20

    enum State: Equatable {
        /// Built in, or loaded.
        case active
        /// `modprobe` would load it.
        case loadable
        /// Built as a module that is not installed.
        case notInstalled
        /// The kernel was built without it.
        case notBuilt
        /// Nothing here tells.
        case unknown
    }

    /// - Parameter option: without `CONFIG_`.
    func state(of module: String, option: String) -> State {
        if isActive(module) { return .active }
        if let builtIn, lists(builtIn, module) { return .active }
        if let loadable, lists(loadable, module) { return .loadable }
        switch configuration.map({ value(of: option, in: $0) }) {
        case "y": return .active
        case "m": return loadable == nil ? .unknown : .notInstalled
        case .some: return .notBuilt
        case .none: return loadable == nil ? .unknown : .notBuilt
        }
    }
}

/// Whether a line of `modules.dep` or `modules.builtin` is about `module`: "kernel/…/vgem.ko.xz: …".
func lists(_ index: [UInt8], _ module: String) -> Bool {
    // Files are named with dashes or underscores as their authors liked; the kernel takes both for the same.
    func normal(_ byte: UInt8) -> UInt8 { byte == UInt8(ascii: "-") ? UInt8(ascii: "_") : byte }
    let wanted = module.utf8.map(normal)
    return index.split(separator: 0x0a).contains { line in
        let path = line.prefix { $0 != UInt8(ascii: ":") }
        let name = path.suffix(from: path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? path.startIndex)
        return name.prefix { $0 != UInt8(ascii: ".") }.map(normal) == wanted
    }
}

/// "y", "m", or "" for an option that is off or unheard of.
func value(of option: String, in configuration: [UInt8]) -> String {
    let start = Array("CONFIG_\(option)=".utf8)
    let line = configuration.split(separator: 0x0a).first { $0.starts(with: start) }
    return line.map { String(decoding: $0.dropFirst(start.count), as: UTF8.self) } ?? ""
}
