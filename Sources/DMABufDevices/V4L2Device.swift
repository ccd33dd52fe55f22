// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// A V4L2 video node: `/dev/videoN`. Radios, teletext and sub-devices move no buffers and are left out.
public struct V4L2Device: Equatable, Sendable {
    public let path: String
    public let bus: BusAddress?
    public let abilities: Result<Abilities, Obstacle>

    public struct Abilities: Equatable, Sendable {
        public let driver: String
        /// The device's name for people.
        public let card: String
        /// It fills buffers.
        public let captures: Bool
        /// It takes buffers.
        public let outputs: Bool
    }

    public var name: String { fileName(path) }

    static let subsystem = "video4linux"

    static func discover() throws(Errno) -> [V4L2Device] {
        try Udev.devices(inSubsystem: subsystem)
            .filter { $0.name.hasPrefix("video") }
            .compactMap(V4L2Device.init)
            .sorted { nodeOrder($0.name, $1.name) }
    }

    private init?(_ device: Udev.Device) {
        guard let path = device.node else { return nil }
        self.path = path
        bus = BusAddress(of: device)
        abilities = asking(path) { () throws(Errno) in Abilities(try V4L2.capabilities(path)) }
    }
}

extension V4L2Device.Abilities {
    fileprivate init(_ capabilities: V4L2.Capabilities) {
        self.init(
            driver: capabilities.driver, card: capabilities.card, captures: capabilities.captures,
            outputs: capabilities.outputs)
    }
}
