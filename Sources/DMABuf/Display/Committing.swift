// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import SystemPackage

/// A flip that was submitted and may not be over.
struct PendingFlip {
    let token: UInt64
    let picture: Picture
    /// What it waits for, as far as that is known.
    let before: Fence?
    /// Signals when it is over.
    let end: Fence
    fileprivate let raised: RaisedEnd?
}

/// Takes the place of a fence where a driver has none. Raised when nobody waits for the flip any more.
private final class RaisedEnd: Sendable {
    private let event: EventFence
    var fence: Fence { event.fence }

    init() throws(DMABufError) { event = try EventFence() }

    deinit { try? event.signal() }
}

// Everything together, as drivers do it since Linux 4.2.

extension Screen {
    /// The driver is asked first, for its answer to a change that is made may come late.
    func set(_ mode: DisplayMode, _ picture: Picture) throws(DMABufError) {
        let (node, connector, crtc) = (importer.node, output.connector.number, output.crtc)
        try changing(picture) { () throws(Errno) in
            let blob = try PropertyBlob(mode, on: node)
            for flags in [[.test, .modeset], .modeset] as [AtomicRequest.Flags] {
                var request = try AtomicRequest(on: node)
                try request.set(output.connectorProperties["CRTC_ID"], of: connector, to: UInt64(crtc))
                try request.set(output.crtcProperties["MODE_ID"], of: crtc, to: blob)
                try request.set(output.crtcProperties["ACTIVE"], of: crtc, to: 1)
                try place(picture, &request)
                try request.commit(flags)
            }
        }
    }

    /// All of the picture on all of the screen. Where it is taken from is in 16.16 fixed point.
    private func place(_ picture: Picture, _ request: inout AtomicRequest) throws(Errno) {
        let (width, height) = (UInt64(picture.width), UInt64(picture.height))
        let values: [(String, UInt64)] = [
            ("FB_ID", UInt64(picture.framebuffer.number)), ("CRTC_ID", UInt64(output.crtc)),
            ("SRC_X", 0), ("SRC_Y", 0), ("SRC_W", width << 16), ("SRC_H", height << 16),
            ("CRTC_X", 0), ("CRTC_Y", 0), ("CRTC_W", width), ("CRTC_H", height),
        ]
        for (name, value) in values {
            try request.set(output.plane.properties[name], of: output.plane.number, to: value)
        }
    }

    func submit(
        _ picture: Picture, _ fence: Fence?, _ damage: [ClipRectangle], _ token: UInt64
    ) throws(DMABufError) -> PendingFlip {
        let before = try picture.fence(and: fence)
        // What has ended is not handed over: a fence in its place would hide those that come until the commit.
        let isPending = try before?.status() == .pending
        let (node, plane) = (importer.node, output.plane)
        guard let property = output.crtcProperties["OUT_FENCE_PTR"] else {
            throw DMABufError(.unsupported, "\(importer.name): \(importer.driver) gives no fence for a flip")
        }
        let end = try changing(picture) { () throws(Errno) -> Descriptor in
            var request = try AtomicRequest(on: node)
            try request.set(plane.properties["FB_ID"], of: plane.number, to: UInt64(picture.framebuffer.number))
            if isPending, let before {
                try request.setFence(plane.properties["IN_FENCE_FD"], of: plane.number, to: before.descriptor)
            }
            guard !damage.isEmpty, let clips = plane.properties["FB_DAMAGE_CLIPS"] else {
                return try request.commit([.event, .nonblocking], token: token, fence: property, of: output.crtc)
            }
            let blob = try PropertyBlob(damage, on: node)
            try request.set(clips, of: plane.number, to: blob)
            return try request.commit([.event, .nonblocking], token: token, fence: property, of: output.crtc)
        }
        return PendingFlip(
            token: token, picture: picture, before: isPending ? before : nil, end: Fence(knownSyncFile: end),
            raised: nil)
    }
}

// One by one, as every driver does it.

extension Screen {
    func setPlainly(_ mode: DisplayMode, _ picture: Picture) throws(DMABufError) {
        let state = CRTCState(
            crtc: output.crtc, framebuffer: picture.framebuffer.number, mode: mode,
            connectors: [output.connector.number])
        try changing(picture) { () throws(Errno) in try importer.node.set(state) }
    }

    func submitPlainly(_ picture: Picture, _ fence: Fence?, _ token: UInt64) throws(DMABufError) -> PendingFlip {
        try picture.fence(and: fence)?.wait(until: .after(.seconds(2)))
        let raised = try RaisedEnd()
        let end = raised.fence
        try changing(picture) { () throws(Errno) in
            try importer.node.pageFlip(output.crtc, to: picture.framebuffer, token: token)
        }
        return PendingFlip(token: token, picture: picture, before: nil, end: end, raised: raised)
    }
}

// What the kernel says no to.

extension Screen {
    private func changing<Value: ~Copyable>(
        _ picture: Picture, _ call: () throws(Errno) -> Value
    ) throws(DMABufError) -> Value {
        do throws(Errno) { return try call() } catch {
            switch error {
            case .permissionDenied: throw importer.masterRefused(error)
            case .noSuchFileOrDirectory:
                throw DMABufError(
                    .gone, "\(importer.name): \(name) is not this process's any more", cause: error,
                    remedy: "if it was leased, the lease was taken back: ask for another")
            case .resourceBusy:
                throw DMABufError(
                    .failed, "\(importer.name): another commit of \(name) is under way", cause: error,
                    remedy: "try again in a moment")
            default:
                guard let image = picture.buffer.description.image else { throw .system("show a picture", error) }
                throw importer.explained(error, image)
            }
        }
    }
}

extension KMSImporter {
    func becomeMaster() throws(DMABufError) -> DRMMaster {
        do throws(Errno) { return try DRMMaster(of: node) } catch { throw masterRefused(error) }
    }

    /// Why this is not the card's master, and who may be.
    fileprivate func masterRefused(_ error: Errno) -> DMABufError {
        switch error {
        case .resourceBusy, .permissionDenied:
            let others = DRMNode.holders(of: node.path).filter { $0 != OwnProcess.processID }.map { process in
                "\(ProcFS.command(of: process)?.escapedForDisplay ?? "?") (process \(process))"
            }
            let who = others.isEmpty ? "another" : others.joined(separator: " or ")
            return DMABufError(
                .unavailable, "\(name): its outputs belong to \(who), the card's DRM master", cause: error,
                remedy: "end it or switch to a console where nothing runs, or have it lease an output")
        case .invalidArgument:
            return DMABufError(
                .unavailable, "\(name): who leased the outputs is not the card's DRM master now", cause: error,
                remedy: "wait until its console is in front again")
        default: return .device("\(name): become the card's DRM master", error, node)
        }
    }
}
