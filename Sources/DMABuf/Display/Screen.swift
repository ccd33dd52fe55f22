// SPDX-License-Identifier: Apache-2.0

import DMABufModel
public import DMABufSystem
import SystemPackage

/// One output of a card, which shows pictures for as long as this value lives. At its end the screen shows again what it did
/// before.
///
/// Rule: *one flip at a time.* A flip is submitted, and is over when ``waitForFlip(until:)`` says so; until then the picture
/// before it may still be on the screen, and is kept. Nothing new is shown of a picture that is on the screen already
/// before it is flipped to again or marked dirty: a driver may show a copy.
///
/// It is the card's DRM master, which one open file can be at a time: several outputs of a card are shown on through one
/// ``KMSImporter``.
public struct Screen: ~Copyable {
    let importer: KMSImporter
    let output: Output
    private let master: DRMMaster
    /// Whether mode, picture and fences are set together; otherwise one by one, as drivers did before.
    public let isAtomic: Bool
    private var mode: DisplayMode?
    private var shown: Picture?
    private var pending: PendingFlip?
    private var isTaken = true

    /// A flip that is over.
    public struct Flip: Equatable, Sendable {
        /// When it was on the screen.
        public let time: Deadline
        /// The number of the frame, as the screen counts them; some drivers count none.
        public let sequence: UInt32
    }

    /// Takes an output of the importer's card: the one called `output` ("VGA-1"), or the first that has a screen.
    ///
    /// Throws `unavailable` where another is the card's master, and says who may be; `gone` if the device is no more.
    /// `isAtomic` false keeps to the calls that every driver has.
    public init(on importer: KMSImporter, output: String? = nil, isAtomic: Bool = true) throws(DMABufError) {
        let master = try importer.becomeMaster()
        self.output = try Output(named: output, of: importer)
        self.master = master
        self.importer = importer
        self.isAtomic = isAtomic && importer.isAtomic
    }

    /// "VGA-1".
    public var name: String { output.connector.name }
    /// From one frame to the next.
    public var period: Duration { mode?.period ?? .zero }
    /// What is on the screen, as far as is known.
    public var picture: Picture? { shown }
    public var hasPendingFlip: Bool { pending != nil }

    /// Throws `gone` if the card was unbound from its driver or unplugged. Whoever shows nothing new for a while learns of
    /// it here. The corresponding ioctl is `DRM_IOCTL_GET_CAP`.
    public func checkDevice() throws(DMABufError) { try importer.node.checkIsThere() }

    // MARK: Showing

    /// Sets a mode of the picture's size and shows it, once its writers have ended.
    ///
    /// Throws `deadline`, naming who was waited for, with nothing changed; `refused` where the screen has no such mode, with
    /// those it has, or where the driver will not show that, with the stride it would take.
    public mutating func show(_ picture: Picture, until deadline: Deadline) throws(DMABufError) {
        try waitForFlip(until: deadline)
        try picture.fence(and: nil)?.wait(until: deadline)
        let mode = try output.mode(for: picture, of: importer)
        try isAtomic ? set(mode, picture) : setPlainly(mode, picture)
        (self.mode, shown) = (mode, picture)
    }

    /// Turns the screen to a picture of the same size, or shows anew what was written to the one that is shown, and does
    /// not wait: not for that, and not for `fence` and the writers in the kernel's reservation of the picture's memory, which
    /// the screen waits for. `damage` says which parts have changed; none means all.
    ///
    /// Returns a fence that ends when the picture is on the screen: until then the memory of the one before may be shown, and
    /// this one's may be copied. It is added to the reservation of both as a reader's, so writers wait for it. A
    /// driver without fences gives an eventfd, which ``waitForFlip(until:)`` raises; before that `fence` is waited for here,
    /// for no longer than two seconds.
    ///
    /// Throws `failed` while another flip is pending. A fence that never ends holds the screen until the kernel gives it up:
    /// who does not trust it waits for it first.
    public mutating func flip(
        to picture: Picture, waitingFor fence: Fence? = nil, damage: [ClipRectangle] = []
    ) throws(DMABufError) -> Fence {
        guard pending == nil else {
            throw DMABufError(
                .failed, "\(importer.name): a flip is pending", cause: .resourceBusy, remedy: "wait for its end first")
        }
        guard let shown, picture.width == shown.width, picture.height == shown.height else {
            throw DMABufError(
                .invalid, "\(importer.name): a flip changes neither the mode nor the size", remedy: "show it first")
        }
        let token = importer.node.nextToken
        let flip =
            try isAtomic ? submit(picture, fence, damage, token) : submitPlainly(picture, fence, token)
        pending = flip
        try picture.isRead(until: flip.end)
        if picture !== shown { try shown.isRead(until: flip.end) }
        return flip.end
    }

    /// Has the parts of the picture that were written shown anew, all if none are named, once their writers have ended; waits
    /// until that is done. A driver that shows the memory itself has nothing to do.
    ///
    /// Throws `deadline`, naming who was waited for. The corresponding ioctl is `DRM_IOCTL_MODE_DIRTYFB`.
    public mutating func markDirty(
        _ damage: [ClipRectangle] = [], until deadline: Deadline
    ) throws(DMABufError) {
        try waitForFlip(until: deadline)
        guard let shown else { return }
        try shown.fence(and: nil)?.wait(until: deadline)
        do throws(Errno) { try shown.framebuffer.markDirty(damage) } catch {
            guard error != .noFunction else { return }
            throw .device("\(importer.name): show anew what was written", error, importer.node)
        }
    }

    /// Waits until the flip that is pending is over. nil if none is.
    ///
    /// Throws `deadline`, naming who the flip waits for, and the flip goes on; `gone` if the device is no more.
    @discardableResult
    public mutating func waitForFlip(until deadline: Deadline) throws(DMABufError) -> Flip? {
        guard let flip = pending else { return nil }
        while true {
            // A device that goes away may leave an event unsaid.
            let soon = min(deadline, .after(.milliseconds(100)))
            let event = try importer.asking("wait for a flip") { () throws(Errno) in
                try importer.node.flip(of: output.crtc, until: soon)
            }
            if let event, event.token == flip.token {
                (shown, pending) = (flip.picture, nil)
                return Flip(time: event.time, sequence: event.sequence)
            }
            try checkDevice()
            if deadline.hasPassed { throw late(flip) }
        }
    }

    private func late(_ flip: PendingFlip) -> DMABufError {
        // The fence's own error names its driver.
        do throws(DMABufError) { try flip.before?.wait(until: .now()) } catch { return error }
        return DMABufError(
            .deadline, "\(importer.name): \(importer.driver) did not turn \(name) to the picture in time",
            cause: .timedOut,
            remedy: "allow more time")
    }

    // MARK: The end

    /// Shows again what the screen did before, now and not at the end of the scope. The kernel waits for a pending flip, and
    /// for as long as that waits for its fences.
    public consuming func restore() throws(DMABufError) {
        isTaken = false
        try giveBack()
    }

    private borrowing func giveBack() throws(DMABufError) {
        do throws(Errno) { try importer.node.set(output.before) } catch {
            // What it showed is no more: dark, as it would have been.
            let off = CRTCState(crtc: output.crtc, framebuffer: 0, mode: nil, connectors: [])
            try importer.asking("restore \(name)") { () throws(Errno) in try importer.node.set(off) }
        }
    }

    deinit {
        // While the pictures are still there: the screen never goes dark.
        if isTaken { try? giveBack() }
    }
}
