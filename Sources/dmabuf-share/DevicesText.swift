// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

extension DevicesReport {
    /// Three tables: what exports, what imports, and the devices behind both.
    var text: String {
        [exporterTable.text, importerTable.text, deviceTable.text].joined(separator: "\n")
            + unlisted.map { "\($0.subsystem): /sys gives no list: \($0.why)\n" }.joined()
    }

    private var exporterTable: Table {
        var table = Table(["EXPORT FROM", "", "AT MOST", "WHAT"])
        for exporter in exporters {
            let limit = exporter.sizeLimit.map(humanBytes) ?? "-"
            table.add([
                exporter.name.escapedForDisplay, exporter.ok ? "ok" : "no", exporter.ok ? limit : "",
                (exporter.why ?? exporter.traits?.joined(separator: ", ") ?? "").escapedForDisplay,
            ])
        }
        return table
    }

    private var importerTable: Table {
        var table = Table(["IMPORT INTO", "", "WHAT"])
        for importer in importers {
            let named = importer.name.split(separator: ":").last
            let node = drm.first { nodeName($0.path) == named }
            let what = importer.why ?? node.map { "\($0.driver ?? ""): \($0.abilityWords)" } ?? ""
            table.add([importer.name.escapedForDisplay, importer.ok ? "ok" : "no", what.escapedForDisplay])
        }
        return table
    }

    private var deviceTable: Table {
        var table = Table(["DEVICE", "DRIVER", "BUS", "WHAT"])
        func add(_ device: String, _ driver: String?, _ bus: String?, _ what: String?) {
            table.add([device, driver ?? "-", bus ?? "-", what ?? ""].map(\.escapedForDisplay))
        }
        for node in drm { add(node.path, node.driver, node.bus, node.why ?? "\(node.abilityWords), \(node.seat)") }
        add(udmabuf.path, nil, nil, udmabuf.why ?? udmabuf.words)
        for heap in heaps { add(heap.path, nil, nil, heap.why ?? "opens") }
        for node in v4l2 { add(node.path, node.driver, node.bus, node.why ?? node.words) }
        for device in rdma { add(device.name, nil, device.bus, device.why ?? device.verbs.map { "verbs at \($0)" }) }
        return table
    }
}

private func nodeName(_ path: String) -> Substring { path.split(separator: "/").last ?? "" }

extension DevicesReport.DRM {
    fileprivate var abilityWords: String {
        let all = [
            (exportsPrime, "exports"), (importsPrime, "imports"), (dumbBuffers, "dumb buffers"),
            (syncobj, "syncobj"), (timelineSyncobj, "timelines"),
        ]
        return all.filter { $0.0 == true }.map(\.1).joined(separator: ", ")
    }
}

extension DevicesReport.UDMABuf {
    fileprivate var words: String {
        let limits = [sizeLimit.map { "\(humanBytes($0)) a buffer" }, segmentLimit.map { "\($0) segments" }]
        let known = limits.compactMap(\.self)
        return known.isEmpty ? "no limit stated" : "at most " + known.joined(separator: ", ")
    }
}

extension DevicesReport.V4L2 {
    fileprivate var words: String {
        let ways = [(captures, "captures"), (outputs, "outputs")].filter { $0.0 == true }.map(\.1)
        return ([card ?? ""] + ways).joined(separator: ", ")
    }
}
