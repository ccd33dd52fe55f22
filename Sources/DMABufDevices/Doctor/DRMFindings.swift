// SPDX-License-Identifier: Apache-2.0

/// DRM: is there a card, is there vgem, and which nodes may this user open.
struct DRMFindings {
    let nodes: [DRMDevice]
    let modules: ModuleIndex

    init(_ nodes: [DRMDevice], _ modules: ModuleIndex) {
        (self.nodes, self.modules) = (nodes, modules)
    }

    var checks: [Check] { [vgem, card] + nodes.map(\.check) }

    private var vgem: Check {
        if let node = nodes.first(where: { $0.driver == "vgem" }) { return .good("vgem", "\(node.path) is vgem") }
        let closed = nodes.first { $0.bus?.address == "vgem" }?.obstacle
        if let closed { return .bad("vgem", closed) }
        return MissingPart(
            id: "vgem", module: "vgem", option: "DRM_VGEM",
            package: "a kernel with CONFIG_DRM_VGEM (Debian: linux-image-amd64, not the cloud kernel)"
        ).check(modules)
    }

    private var card: Check {
        let open = nodes.filter { !$0.isRenderNode && $0.driver != nil }
        let words = open.map { "\($0.name) (\($0.driver ?? ""))" }.joined(separator: ", ")
        if !open.isEmpty { return .good("card", words) }
        if let closed = nodes.first(where: { !$0.isRenderNode })?.obstacle { return .bad("card", closed) }
        return .bad("card", "no DRM card in /dev/dri", remedy: "load the driver of the GPU, or sudo modprobe vgem")
    }
}

extension DRMDevice {
    fileprivate var driver: String? {
        if case .success(let abilities) = abilities { abilities.driver } else { nil }
    }

    fileprivate var obstacle: Obstacle? {
        if case .failure(let obstacle) = abilities { obstacle } else { nil }
    }

    fileprivate var check: Check {
        switch abilities {
        case .success(let abilities): .good("node:\(name)", abilities.words(path))
        case .failure(let obstacle): .bad("node:\(name)", obstacle)
        }
    }
}

extension DRMDevice.Abilities {
    fileprivate func words(_ path: String) -> String {
        let words = [(exportsPrime, "exports"), (importsPrime, "imports"), (syncobj, "syncobj")]
        let known = words.filter(\.0).map(\.1)
        return "\(path) opens: \(driver)\(known.isEmpty ? "" : ", ")\(known.joined(separator: ", "))"
    }
}
