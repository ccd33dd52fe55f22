// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

/// A registered image on a screen, frame by frame.
///
/// Rule: *a frame is an access.* It begins when no work that writes is under way and no move either, so what is shown is
/// whole, and of the present generation; it ends when the frame is on the screen. A move waits for that, and the next frame
/// is of the new memory. Meanwhile it is a reader's fence, in the registry and in the kernel's reservation.
struct Display: ~Copyable {
    private var screen: Screen
    private let importer: KMSImporter
    private var attached: AttachedBuffer
    /// Of the generation that is attached; nil before the first frame of it.
    private var picture: Picture?
    private let name: String
    private let within: Duration
    private var frames: UInt64 = 0
    private var nextFrame = Deadline.now()
    private var promises: UInt64 = 0
    private var mayPromise = true
    /// Why the last read could not be promised, though nobody works on the memory and nothing moves.
    private var refusal: Refusal?
    private var endNotice: Notice?

    /// A frame that is on the screen.
    struct Frame {
        let number: UInt64
        /// Whether it is the first of its generation.
        let isNew: Bool
        let attached: AttachedBuffer
        let picture: Picture
        let output: String
    }

    struct End {
        let frames: UInt64
        let attachment: AttachmentID
        /// What the registry said; nil if it was not the registry that ended it.
        let notice: Notice?

        /// Says that the memory was let go of, as it is by now.
        func tell(_ registry: inout RegistryConnection, until deadline: Deadline) {
            if case .revoke = notice { _ = try? registry.ask(.acknowledgeRevoke(attachment), until: deadline) }
            _ = try? registry.ask(.detach(attachment), until: deadline)
        }
    }

    init(_ attached: AttachedBuffer, _ command: DisplayCommand, on importer: KMSImporter) throws(DMABufError) {
        // What cannot be shown is said before anybody's screen is touched.
        picture = try Picture(of: attached.buffer, on: importer)
        screen = try Screen(on: importer, output: command.output)
        self.importer = importer
        self.attached = attached
        name = command.buffer.name
        within = command.within.duration
    }

    /// The next frame, once it is on the screen; nil when the image is over or a signal came.
    ///
    /// Throws `deadline`, naming who was waited for; `gone` if the device is no more, or the registry.
    mutating func next(_ registry: inout RegistryConnection, _ signals: borrowing SignalFD) throws -> Frame? {
        var deadline: Deadline?
        while try listen(&registry, signals) {
            let end = deadline ?? .after(within)
            deadline = end
            if let frame = try show(&registry, until: end) { return frame }
            if let refusal, end.hasPassed { throw RegistryError.ruledOut(refusal) }
            try screen.checkDevice()
        }
        return nil
    }

    /// Hears what the registry says until it is time for a frame. False when it is over.
    private mutating func listen(
        _ registry: inout RegistryConnection, _ signals: borrowing SignalFD
    ) throws(RegistryError) -> Bool {
        while let notice = try registry.nextNotice(until: nextFrame, unless: signals.descriptor) {
            guard notice.endsDisplay else { continue }
            endNotice = notice
            return false
        }
        return signals.next() == nil
    }

    /// Gives the screen back. Nothing of the memory is left when this returns.
    consuming func end() throws(DMABufError) -> End {
        let end = End(frames: frames, attachment: attached.attachment, notice: endNotice)
        try screen.restore()
        return end
    }
}

// One frame.

extension Display {
    /// nil if it cannot be shown yet.
    private mutating func show(_ registry: inout RegistryConnection, until deadline: Deadline) throws -> Frame? {
        let soon = min(deadline, .after(Self.turn))
        guard let access = try begin(&registry, until: soon, deadline) else { return nil }
        let isNew: Bool?
        do { isNew = try read(&registry, until: deadline) } catch {
            _ = try? registry.endAccess(access, until: .after(within))
            throw error
        }
        let state = try registry.endAccess(access, until: .after(within))
        guard let isNew, let picture, state == .ok else {
            // Whoever is in the way is asked again in a moment, and not all the time.
            nextFrame = .after(.milliseconds(2))
            return nil
        }
        frames += 1
        nextFrame = .after(screen.period)
        return Frame(number: frames, isNew: isNew, attached: attached, picture: picture, output: screen.name)
    }

    /// Notices and signals are heard between waits of this length.
    private static var turn: Duration { .milliseconds(20) }

    /// nil if writers or a move are under way. What the kernel knows of is waited for first: it can name who is late.
    private mutating func begin(
        _ registry: inout RegistryConnection, until soon: Deadline, _ deadline: Deadline
    ) throws -> OngoingAccess? {
        do throws(RegistryError) {
            do throws(DMABufError) { _ = try attached.waitForKernelFences(before: .read, until: soon) } catch {
                throw .local(error)
            }
            return try registry.beginAccess(attached, .read, until: soon)
        } catch {
            switch error {
            case .ruledOut(.stale), .ruledOut(.revoked): try follow(&registry)
            // Their own deadlines end them.
            case .ruledOut(.moving), .ruledOut(.settling): break
            default: try wait(for: error, until: deadline)
            }
            return nil
        }
    }

    /// The present generation. The screen keeps the old memory until it has turned to the new.
    private mutating func follow(_ registry: inout RegistryConnection) throws(RegistryError) {
        do throws(RegistryError) {
            attached = try registry.map(attached.attachment, until: .after(within))
            picture = nil
        } catch {
            // Another notice says what became of it.
            guard case .ruledOut = error else { throw error }
        }
    }

    /// First says that it reads and then looks whether somebody writes, who says so first and then looks for readers: of
    /// two that cross, at least one sees the other. nil if somebody writes; else whether the memory is new to the screen.
    private mutating func read(_ registry: inout RegistryConnection, until deadline: Deadline) throws -> Bool? {
        guard let reading = try promise(&registry) else { return nil }
        defer { reading.end() }
        do throws(RegistryError) { _ = try registry.waitForFences(of: attached, .write, until: .now()) } catch {
            try wait(for: error, until: deadline)
            return nil
        }
        return try turn(until: deadline)
    }

    /// Work that is under way is no error before the deadline.
    private func wait(for error: RegistryError, until deadline: Deadline) throws {
        if case .ruledOut(.timedOut(let fences)) = error {
            if deadline.hasPassed { throw late(fences) }
        } else if error.asError.code != .deadline || deadline.hasPassed {
            throw error
        }
    }

    private func late(_ fences: [FenceID]) -> DMABufError {
        let numbers = fences.map { "\($0.rawValue)" }.joined(separator: ", ")
        return DMABufError(
            .deadline,
            "\(name.quotedForDisplay): waited in vain for fence \(numbers), which a client has promised the registry",
            cause: .timedOut, remedy: "see who is attached: dmabuf-share show; or allow more time: --within")
    }

    /// Turns the screen to the memory as it is now. True if it has not shown that before.
    private mutating func turn(until deadline: Deadline) throws(DMABufError) -> Bool {
        let now: Picture
        if let picture { now = picture } else { now = try Picture(of: attached.buffer, on: importer) }
        picture = now
        guard let before = screen.picture else {
            try screen.show(now, until: deadline)
            return true
        }
        _ = try screen.flip(to: now)
        try screen.waitForFlip(until: deadline)
        return before !== now
    }

    /// Those who ask the registry before they write learn of the frame there; those who ask the kernel, from the flip's own
    /// fence, which is all there is for who has no right to promise. nil if the buffer is locked or moves.
    private mutating func promise(_ registry: inout RegistryConnection) throws -> Reading? {
        let reading = try Reading()
        guard mayPromise else { return reading }
        promises += 1
        let within = min(Interval(within), FenceTerms.longestInterval)
        let terms = FenceTerms(timeline: 1, point: promises, usage: .read, kind: .eventFD, within: within)
        let (fence, limit) = (reading.fence, Deadline.after(self.within))
        do throws(RegistryError) {
            try registry.addReserving(fence, to: attached.attachment, terms, until: limit)
        } catch {
            switch error {
            case .ruledOut(.forbidden): mayPromise = false
            // Its own deadline ends a move.
            case .ruledOut(.moving), .ruledOut(.settling): return nil
            case .ruledOut(let rule):
                refusal = rule
                return nil
            default: throw error
            }
        }
        refusal = nil
        return reading
    }
}

/// A fence that ends when nobody reads any more.
private final class Reading {
    private let event: EventFence
    var fence: Fence { event.fence }

    init() throws(DMABufError) { event = try EventFence() }

    func end() { try? event.signal() }

    deinit { end() }
}

extension Notice {
    fileprivate var endsDisplay: Bool {
        switch self {
        case .revoke, .revoked, .withdrawn, .ownerGone, .attachmentEnded, .quarantined: true
        default: false
        }
    }
}
