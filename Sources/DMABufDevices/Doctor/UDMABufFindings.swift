// SPDX-License-Identifier: Apache-2.0

import SystemPackage

/// `/dev/udmabuf`: ordinary memory as dma-bufs, without any other device.
struct UDMABufFindings {
    let device: UDMABufDevice
    let modules: ModuleIndex

    init(_ device: UDMABufDevice, _ modules: ModuleIndex) {
        (self.device, self.modules) = (device, modules)
    }

    private static let id = "udmabuf"

    var check: Check {
        switch device.limits {
        case .success(let limits):
            let limit = limits.byteCount.map { ", at most \($0 >> 20) MiB a buffer" } ?? ""
            return .good(Self.id, "\(device.path) opens\(limit)")
        case .failure(let obstacle):
            guard obstacle.cause == .noSuchAddressOrDevice else { return .bad(Self.id, obstacle) }
            return MissingPart(
                id: Self.id, module: "udmabuf", option: "UDMABUF",
                package: "a kernel with CONFIG_UDMABUF (Debian: linux-image-amd64 of trixie or bookworm-backports)"
            ).check(modules)
        }
    }
}
