// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufDevices
import DMABufModel
import DMABufSystem

/// Everything that this machine exports from and imports into.
struct DevicesReport: Report {
    let exporters: [Exporter]
    let importers: [Importer]
    let drm: [DRM]
    let udmabuf: UDMABuf
    let heaps: [Heap]
    let v4l2: [V4L2]
    let rdma: [RDMA]
    let unlisted: [Unlisted]

    /// `why` and `remedy` are there where `ok` is false, the rest where it is true.
    struct Exporter: Encodable {
        let name: String
        let ok: Bool
        let why: String?
        let remedy: String?
        let traits: [String]?
        let sizeLimit: UInt64?
        let device: String?
        let permission: String?

        enum CodingKeys: String, CodingKey {
            case name, ok, why, remedy, traits, device, permission
            case sizeLimit = "size_limit"
        }
    }

    struct Importer: Encodable {
        let name: String
        let ok: Bool
        let why: String?
        let remedy: String?
    }

    struct DRM: Encodable {
        let path: String
        let bus: String?
        let seat: String
        let driver: String?
        let importsPrime: Bool?
        let exportsPrime: Bool?
        let dumbBuffers: Bool?
        let syncobj: Bool?
        let timelineSyncobj: Bool?
        let why: String?

        enum CodingKeys: String, CodingKey {
            case path, bus, seat, driver, syncobj, why
            case importsPrime = "imports_prime"
            case exportsPrime = "exports_prime"
            case dumbBuffers = "dumb_buffers"
            case timelineSyncobj = "timeline_syncobj"
        }
    }

    struct UDMABuf: Encodable {
        let path: String
        let sizeLimit: UInt64?
        let segmentLimit: Int?
        let why: String?

        enum CodingKeys: String, CodingKey {
            case path, why
            case sizeLimit = "size_limit"
            case segmentLimit = "segment_limit"
        }
    }

    struct Heap: Encodable {
        let name: String
        let path: String
        let why: String?
    }

    struct V4L2: Encodable {
        let path: String
        let bus: String?
        let driver: String?
        let card: String?
        let captures: Bool?
        let outputs: Bool?
        let why: String?
    }

    struct RDMA: Encodable {
        let name: String
        let bus: String?
        let verbs: String?
        let why: String?
    }

    struct Unlisted: Encodable {
        let subsystem: String
        let why: String
    }
}

extension DevicesReport {
    init(
        _ devices: DeviceList, exporters: [ExporterBackend.Attempt], importers: [ImporterBackend.Attempt]
    ) {
        self.exporters = exporters.map(Exporter.init)
        self.importers = importers.map(Importer.init)
        drm = devices.drm.map(DRM.init)
        udmabuf = UDMABuf(devices.udmabuf)
        heaps = devices.heaps.map { Heap(name: $0.name, path: $0.path, why: $0.obstacle?.reason) }
        v4l2 = devices.v4l2.map(V4L2.init)
        rdma = devices.rdma.map {
            RDMA(name: $0.name, bus: $0.bus?.description, verbs: $0.verbsPath, why: $0.obstacle?.reason)
        }
        unlisted = devices.unlisted.map { Unlisted(subsystem: $0.subsystem, why: "\($0.cause)") }
    }
}

extension DevicesReport.Exporter {
    fileprivate init(_ attempt: ExporterBackend.Attempt) {
        switch attempt.result {
        case .success(let exporter):
            let offer = exporter.offer
            self.init(
                name: exporter.name, ok: true, why: nil, remedy: nil, traits: offer.traits.names,
                sizeLimit: offer.sizeLimit, device: offer.device, permission: offer.permission)
        case .failure(let error):
            self.init(
                name: attempt.name, ok: false, why: error.message, remedy: error.remedy, traits: nil, sizeLimit: nil,
                device: nil, permission: nil)
        }
    }
}

extension DevicesReport.Importer {
    fileprivate init(_ attempt: ImporterBackend.Attempt) {
        switch attempt.result {
        case .success(let importer): self.init(name: importer.name, ok: true, why: nil, remedy: nil)
        case .failure(let error):
            self.init(name: attempt.name, ok: false, why: error.message, remedy: error.remedy)
        }
    }
}

extension DevicesReport.DRM {
    fileprivate init(_ device: DRMDevice) {
        let (abilities, why) = parts(device.abilities)
        self.init(
            path: device.path, bus: device.bus?.description, seat: device.seat, driver: abilities?.driver,
            importsPrime: abilities?.importsPrime, exportsPrime: abilities?.exportsPrime,
            dumbBuffers: abilities?.dumbBuffers, syncobj: abilities?.syncobj,
            timelineSyncobj: abilities?.timelineSyncobj, why: why)
    }
}

extension DevicesReport.UDMABuf {
    fileprivate init(_ device: UDMABufDevice) {
        let (limits, why) = parts(device.limits)
        self.init(path: device.path, sizeLimit: limits?.byteCount, segmentLimit: limits?.segmentCount, why: why)
    }
}

extension DevicesReport.V4L2 {
    fileprivate init(_ device: V4L2Device) {
        let (abilities, why) = parts(device.abilities)
        self.init(
            path: device.path, bus: device.bus?.description, driver: abilities?.driver, card: abilities?.card,
            captures: abilities?.captures, outputs: abilities?.outputs, why: why)
    }
}

private func parts<Value>(_ answer: Result<Value, Obstacle>) -> (Value?, String?) {
    switch answer {
    case .success(let value): (value, nil)
    case .failure(let obstacle): (nil, obstacle.reason)
    }
}
