// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// A stream's frames on a screen, each once, none left out.
///
/// Rule: *what is on the screen is taken.* A frame that was taken is whole, and nobody writes to it or moves it; it is let go
/// when the next one is on the screen.
struct StreamDisplay: ~Copyable {
    private var screen: Screen
    private let importer: KMSImporter
    private var reader: PoolReader
    /// Of each buffer, in the generation that was shown last.
    private var pictures: [Int: (generation: Generation, picture: Picture)] = [:]
    private var shown: Int?
    private var frames: UInt64 = 0
    private let within: Duration

    /// Requests wait for so long at a time; signals are seen in between.
    private static let moment = Duration.milliseconds(100)

    init(_ reader: consuming PoolReader, _ command: DisplayCommand, on importer: KMSImporter) throws(DMABufError) {
        // What cannot be shown is said before anybody's screen is touched.
        _ = try Picture(of: reader.buffers[0], on: importer)
        screen = try Screen(on: importer, output: command.output)
        self.importer = importer
        self.reader = reader
        within = command.within.duration
    }

    /// The next frame, once it is on the screen; nil when the stream has ended or a signal came.
    ///
    /// Throws `deadline` where no frame comes in time; `gone` if the producer has died, or the device is no more.
    mutating func next(_ registry: inout RegistryConnection, _ signals: borrowing SignalFD) throws -> Display.Frame? {
        let deadline = Deadline.after(within)
        while signals.next() == nil {
            try reader.renew(&registry, until: .after(within))
            if let frame = try reader.take(&registry, until: .after(Self.moment)) {
                guard try isReady(frame, until: .after(within), &registry, signals) else { return nil }
                return try show(frame, &registry)
            }
            try screen.checkDevice()
            if try reader.hasEnded() { return nil }
            guard !deadline.hasPassed else {
                throw DMABufError(
                    .deadline, "\(reader.name.quotedForDisplay) has no new frame for \(humanTime(within))",
                    remedy: "look who is late: dmabuf-share fence list; or allow more time: --within")
            }
        }
        return nil
    }

    /// Waits for writers of whom only the kernel knows, before the screen has to: what waits inside the kernel can be neither
    /// called off nor named. The frame on the screen stays promised meanwhile. False when a signal came.
    private mutating func isReady(
        _ frame: PoolReader.Frame, until deadline: Deadline, _ registry: inout RegistryConnection,
        _ signals: borrowing SignalFD
    ) throws -> Bool {
        while signals.next() == nil {
            try reader.renew(&registry, until: .after(within))
            let soon = min(deadline, .after(Self.moment))
            do throws(DMABufError) {
                _ = try frame.attached.waitForKernelFences(before: .read, until: soon)
                return true
            } catch { if error.code != .deadline || deadline.hasPassed { throw error } }
        }
        return false
    }

    private mutating func show(
        _ frame: PoolReader.Frame, _ registry: inout RegistryConnection
    ) throws -> Display.Frame {
        let before = pictures[frame.index]
        let isMoved = before.map { $0.generation != frame.attached.generation } ?? false
        let kept = isMoved ? nil : before?.picture
        let picture = if let kept { kept } else { try Picture(of: frame.buffer, on: importer) }
        pictures[frame.index] = (frame.attached.generation, picture)
        if screen.picture == nil {
            try screen.show(picture, until: .after(within))
        } else {
            _ = try screen.flip(to: picture)
            try screen.waitForFlip(until: .after(within))
        }
        if let shown { try reader.letGo(shown, &registry, until: .after(within)) }
        shown = frame.index
        frames += 1
        return Display.Frame(
            number: frames, isNew: frames == 1 || isMoved, attached: frame.attached, picture: picture,
            output: screen.name)
    }

    /// Gives the screen back, and then the frame that was on it.
    consuming func end(_ registry: inout RegistryConnection) throws -> DisplayEndReport {
        let report = DisplayEndReport(
            frames: frames, name: reader.name, because: reader.end == .inGoodOrder ? "withdrawn" : nil)
        let within = within
        try screen.restore()
        try reader.detach(&registry, until: .after(within))
        return report
    }
}
