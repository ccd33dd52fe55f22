// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// Where pictures go: a connector with a screen, the CRTC that drives it, and the plane at the bottom of that.
struct Output: Sendable {
    let connector: Connector
    let crtc: UInt32
    let plane: ScanoutPlane
    let connectorProperties: ModeProperties
    let crtcProperties: ModeProperties
    /// How it was before; given back at the end.
    let before: CRTCState

    /// The connector of that name, or the first that has a screen. Throws `unavailable` if there is none, with those that
    /// there are.
    init(named name: String?, of importer: KMSImporter) throws(DMABufError) {
        let node = importer.node
        let (resources, connectors, planes) = try importer.asking("look at its outputs") { () throws(Errno) in
            let resources = try node.modeResources()
            var connectors: [Connector] = []
            for number in resources.connectors { connectors.append(try node.connector(number)) }
            return (resources, connectors, try node.scanoutPlanes())
        }
        let connector = try importer.choose(name, connectors)
        let index = resources.index(for: connector, among: connectors)
        let plane = index.flatMap { planes.bottom(of: $0, resources.crtcs[$0]) }
        guard let index, let plane else {
            throw DMABufError(
                .unavailable, "\(importer.name): nothing is left to drive \(connector.name) with",
                remedy: "switch another of its outputs off")
        }
        let crtc = resources.crtcs[index]
        (connectorProperties, crtcProperties, before) = try importer.asking("look at \(connector.name)") {
            () throws(Errno) in
            let driven = connectors.filter { $0.crtc == crtc }.map(\.number)
            return (
                try node.modeProperties(of: connector.number, .connector), try node.modeProperties(of: crtc, .crtc),
                try node.crtcState(crtc, driving: driven)
            )
        }
        (self.connector, self.crtc, self.plane) = (connector, crtc, plane)
    }

    /// The timing for a picture of that size: as it is now, if that fits, else what the screen likes best.
    func mode(for picture: Picture, of importer: KMSImporter) throws(DMABufError) -> DisplayMode {
        let fitting = connector.modes.filter { $0.width == picture.width && $0.height == picture.height }
        if let now = before.mode, fitting.contains(now) { return now }
        if let mode = fitting.first(where: \.isPreferred) ?? fitting.max(by: { $0.refresh < $1.refresh }) {
            return mode
        }
        var sizes: [String] = []
        for mode in connector.modes where !sizes.contains("\(mode.width)x\(mode.height)") {
            sizes.append("\(mode.width)x\(mode.height)")
        }
        throw DMABufError(
            .refused, "\(importer.name): \(connector.name) shows no \(picture.width)x\(picture.height) pixels",
            remedy: sizes.isEmpty
                ? "plug a screen in: it has none" : "make the image one of \(sizes.joined(separator: ", "))")
    }
}

extension KMSImporter {
    func asking<Value>(_ what: String, _ call: () throws(Errno) -> Value) throws(DMABufError) -> Value {
        do throws(Errno) { return try call() } catch { throw .device("\(name): \(what)", error, node) }
    }

    fileprivate func choose(_ output: String?, _ connectors: [Connector]) throws(DMABufError) -> Connector {
        let names = connectors.map(\.name).joined(separator: ", ")
        guard let output else {
            if let found = connectors.first(where: { $0.isConnected && !$0.modes.isEmpty }) { return found }
            throw DMABufError(
                .unavailable, "\(name): no screen is connected to \(names.isEmpty ? "it" : names)",
                remedy: "plug one in")
        }
        guard let found = connectors.first(where: { $0.name == output }) else {
            throw DMABufError(
                .invalid, "\(name): no output is called \"\(output.escapedForDisplay)\"", remedy: "one of \(names)")
        }
        return found
    }
}

extension [ScanoutPlane] {
    /// The primary plane for a CRTC: the one that it has; else one that no other has, in the order of the CRTCs, where every
    /// plane would do for every CRTC.
    fileprivate func bottom(of index: Int, _ crtc: UInt32) -> ScanoutPlane? {
        let primary = filter { $0.kind == .primary }
        let possible = primary.filter { $0.possibleCRTCs & 1 << UInt32(index) != 0 }
        if let own = possible.first(where: { $0.crtc == crtc }) { return own }
        if index < primary.count, possible.contains(where: { $0.number == primary[index].number }),
            primary[index].crtc == nil
        {
            return primary[index]
        }
        return possible.first { $0.crtc == nil }
    }
}

extension ModeResources {
    /// The CRTC that drives the connector already, else one that drives no other.
    fileprivate func index(for connector: Connector, among all: [Connector]) -> Int? {
        if let crtc = connector.crtc { return crtcs.firstIndex(of: crtc) }
        let taken = all.compactMap(\.crtc)
        return crtcs.indices.first { connector.possibleCRTCs & 1 << UInt32($0) != 0 && !taken.contains(crtcs[$0]) }
    }
}
