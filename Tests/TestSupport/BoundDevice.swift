// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// A device and its driver, as sysfs has them: for tests that take the one from the other.
public struct BoundDevice: Sendable {
    /// "card0", "video0".
    public let node: String
    /// As its bus names it: "0000:00:01.0", "vivid.0".
    public let address: String
    private let driver: String

    public init(of node: String) throws {
        self.node = node
        let device = "/sys/class/\(Self.subsystem(of: node))/\(node)/device"
        address = try Self.target(of: device)
        driver =
            "/sys/bus/\(try Self.target(of: "\(device)/subsystem"))/drivers/\(try Self.target(of: "\(device)/driver"))"
    }

    private static func subsystem(of node: String) -> String { node.hasPrefix("video") ? "video4linux" : "drm" }

    private static func target(of link: String) throws -> String {
        String(decoding: try Sysfs.link(link).split(separator: 0x2f).last ?? [], as: UTF8.self)
    }

    /// Takes its driver away; whoever has it open keeps a node of which every call fails.
    public func unbind() throws { try Descriptor.open("\(driver)/unbind", .create).write(address) }

    /// A command that does so.
    public var unbinding: [String] { ["sh", "-c", "echo \(address) >\(driver)/unbind"] }

    /// It comes back, under the numbers that are free: a video node that is open keeps its own.
    public func bindAnywhere() throws { try Descriptor.open("\(driver)/bind", .create).write(address) }

    /// It comes back as it was. Throws `timedOut` unless `node` is among its nodes.
    public func bind() throws {
        try bindAnywhere()
        let deadline = Deadline.after(.seconds(10))
        while !isThere || (try? BoundDevice(of: node).address) != address {
            guard !deadline.hasPassed else { throw Errno.timedOut }
            Clock.sleep(.milliseconds(10))
        }
    }

    private var isThere: Bool { DRMNode.names.contains(node) || V4L2Node.names.contains(node) }
}
