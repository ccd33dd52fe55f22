// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

extension Requirements {
    /// What a card's display engine can read: the formats and modifiers of its primary planes together, and the sizes of
    /// framebuffers that it takes. A driver that states no modifiers shows linear images.
    init(party: String, scanoutOf node: DRMNode) throws(Errno) {
        let resources = try node.modeResources()
        var formats = FormatSet([:])
        for plane in try node.scanoutPlanes() where plane.kind == .primary {
            for fourcc in plane.formats {
                let stated = plane.modifiers.map { $0[fourcc] ?? [] } ?? [Modifier.linear.rawValue]
                for modifier in stated { formats.insert(fourcc, Modifier(rawValue: modifier)) }
            }
        }
        let rule = StrideRule.of(node.driver)
        self.init(
            party: party, device: node.path, origin: node.origin,
            image: ImageRequirements(
                formats: formats, widths: resources.widths, heights: resources.heights,
                strideAlignment: rule.alignment, strideLimits: rule.limits))
    }
}

/// How far apart the lines of a plane may lie, in bytes. Drivers state it nowhere; for those without a rule of their own
/// here, the driver's no is explained when it comes.
struct StrideRule {
    /// Every stride is a multiple of it.
    var alignment: UInt32 = 1
    /// At most; of some formats, by fourcc.
    var limits: [UInt32: UInt32] = [:]

    static func of(_ driver: String) -> StrideRule { rules[driver] ?? StrideRule() }

    private static let rules: [String: StrideRule] = {
        // It counts eight bytes at a time, 511 times. Under its first name the driver makes longer lines of XR24 shorter by
        // itself; since it has the second, it does not.
        func cirrus(_ formats: [String]) -> StrideRule {
            let fourccs = formats.compactMap { PixelFormat($0)?.fourcc }
            return StrideRule(alignment: 8, limits: Dictionary(fourccs.map { ($0, 4088) }) { $1 })
        }
        return ["cirrus": cirrus(["RG16", "RG24"]), "cirrus-qemu": cirrus(["RG16", "RG24", "XR24"])]
    }()
}
