// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// Where the device behind a node sits: "pci" and "0000:00:02.0".
public struct BusAddress: Hashable, Sendable {
    public let bus: String
    public let address: String

    public init(bus: String, address: String) {
        self.bus = bus
        self.address = address
    }

    /// The device's parent in `/sys`; nil for one that sits on no bus.
    init?(of device: Udev.Device) {
        guard let bus = device.parentSubsystem, let address = device.parentName else { return nil }
        self.init(bus: bus, address: address)
    }
}

extension BusAddress: CustomStringConvertible {
    public var description: String { "\(bus):\(address)" }
}

func fileName(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

/// Cards before render nodes, `video2` before `video10`.
func nodeOrder(_ first: String, _ second: String) -> Bool {
    func key(_ name: String) -> (String, Int) {
        let word = name.prefix { !$0.isNumber }
        return (String(word), Int(name.dropFirst(word.count)) ?? 0)
    }
    return key(first) < key(second)
}

/// Opens a device to ask it something; what fails becomes the reason.
func asking<Answer>(
    _ path: String, _ question: () throws(Errno) -> Answer
) -> Result<Answer, Obstacle> {
    do throws(Errno) {
        return .success(try question())
    } catch {
        return .failure(Obstacle(opening: path, error))
    }
}
