// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct DisplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "display",
        abstract: "Show a registered image on a screen, and what is written to it.",
        discussion: """
            Takes an output of the card, and shows the image anew with each frame of the screen's: after the work of those \
            who write to it, and not before. Until a frame is on the screen, writers that wait for readers wait for it. When \
            the buffer moves, the screen turns to the new memory between two frames. Ends when the image is \
            removed, revoked or its owner is gone, after --frames, or on Control-C; then the screen shows again what it \
            did before. Of a stream (see capture) every frame is shown once. Work that does not end within --within is \
            named, and the status is 124.

            EXAMPLES:
              dmabuf-share display frame --on kms:card0
              dmabuf-share display cam0 --on kms:/dev/dri/card1 --output HDMI-A-1 --frames 300 --json
              dmabuf-share share hello --image 640x480:XR24 --fill hello.raw --embedded -- \\
                  dmabuf-share display hello --on kms:card0 --frames 1
            """)

    @OptionGroup var buffer: BufferArgument

    @Option(help: ArgumentHelp("The display engine: kms:NODE.", valueName: "importer"))
    var on: ImporterName

    @Option(help: "The output, as the kernel calls it: VGA-1, HDMI-A-1. Default: the first that has a screen.")
    var output: String?

    @Option(help: ArgumentHelp("How many frames to show. Default: until it ends.", valueName: "count"))
    var frames: UInt64?

    @Option(help: ArgumentHelp("How long to wait for the work of those who write.", valueName: "seconds"))
    var within = Seconds(2)

    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func validate() throws {
        if frames == 0 { throw ValidationError("Show one frame at least.") }
        if !on.text.hasPrefix("kms:") { throw ValidationError("Only kms:NODE shows anything.") }
    }

    func run() throws {
        try asking(options) { registry in
            let signals = try terminationSignals()
            let importer = try KMSImporter(node: String(on.text.dropFirst(4)))
            let token = try shown.token()
            // Names of a stream resolve without a token, or not at all.
            if token == nil, let reader = try findStream(&registry) {
                return try show(StreamDisplay(reader, self, on: importer), importer, &registry, signals)
            }
            let terms = AttachTerms(.read, .movable, token: token)
            // Kept nowhere else: memory that the buffer has moved away from is to be free.
            var display = try Display(
                buffer.attach(&registry, terms, until: options.deadline), self, on: importer)
            while let frame = try display.next(&registry, signals) {
                try tell(frame, importer)
                if frame.number == frames { break }
            }
            let end = try display.end()
            end.tell(&registry, until: options.deadline)
            try emit(DisplayEndReport(end, name: buffer.name), json: options.json)
            if let frames, end.frames < frames, end.notice != nil { throw tooFew(end.frames, of: frames) }
        }
    }

    /// nil where the name is a single buffer's.
    private func findStream(_ registry: inout RegistryConnection) throws(RegistryError) -> PoolReader? {
        do throws(RegistryError) {
            return try PoolReader(buffer.name, of: buffer.user.of, pins: true, in: &registry, until: options.deadline)
        } catch {
            guard case .ruledOut(.noSuchBuffer) = error else { throw error }
            return nil
        }
    }

    private func show(
        _ display: consuming StreamDisplay, _ importer: KMSImporter, _ registry: inout RegistryConnection,
        _ signals: borrowing SignalFD
    ) throws {
        while let frame = try display.next(&registry, signals) {
            try tell(frame, importer)
            if frame.number == frames { break }
        }
        let end = try display.end(&registry)
        try emit(end, json: options.json)
        if let frames, end.frames < frames, end.because != nil { throw tooFew(end.frames, of: frames) }
    }

    private func tell(_ frame: Display.Frame, _ importer: KMSImporter) throws {
        if frame.isNew { try emit(DisplayReport(frame, of: self, on: importer), json: options.json) }
        if frame.number == 1 { try runWhatWaitsForTheFirst() }
    }

    private func tooFew(_ shown: UInt64, of frames: UInt64) -> DMABufError {
        DMABufError(.gone, "\(shown) of \(frames) frames were shown of \(buffer.name.quotedForDisplay)")
    }

    /// A test that takes a picture of the screen does so now: nothing changes on it meanwhile.
    private func runWhatWaitsForTheFirst() throws {
        guard let command = OwnProcess.environment("DMABUF_SHARE_SHOWN"), !command.isEmpty else { return }
        let child = try start(CommandWord.words(["sh", "-c", command]), environment: OwnProcess.environment)
        let status = try? child.wait(until: .after(.seconds(60)))?.status
        if status != 0 { note("what was to run when the first frame is shown, DMABUF_SHARE_SHOWN, failed") }
    }
}

/// Memory that is shown for the first time: at first, and after a move.
struct DisplayReport: Report {
    let event: String
    let name: String
    let id: String
    let generation: UInt64
    let frame: UInt64
    let importer: String
    let driver: String
    let output: String
    let width: UInt32
    let height: UInt32
    let fourcc: String

    init(_ frame: Display.Frame, of command: DisplayCommand, on importer: KMSImporter) {
        event = frame.number == 1 ? "shown" : "moved"
        name = command.buffer.name
        id = frame.attached.id.hexadecimal
        generation = frame.attached.generation.rawValue
        self.frame = frame.number
        self.importer = importer.name
        driver = importer.driver
        output = frame.output
        (width, height) = (frame.picture.width, frame.picture.height)
        fourcc = PixelFormat.text(of: frame.picture.buffer.description.image?.fourcc ?? 0)
    }

    var text: String {
        event == "shown"
            ? "\(name.escapedForDisplay): \(width)x\(height) \(fourcc) on \(output) of \(importer) (\(driver)), "
                + "generation \(generation)\n"
            : "\(name.escapedForDisplay): has moved: generation \(generation) from frame \(frame) on\n"
    }
}

struct DisplayEndReport: Report {
    let event = "ended"
    let name: String
    let frames: UInt64
    /// The notice that ended it, as `watch` calls it; null if it was not the registry.
    let because: String?
    private let sentence: String?

    enum CodingKeys: CodingKey { case event, name, frames, because }

    init(_ end: Display.End, name: String) {
        self.name = name
        frames = end.frames
        let notice = end.notice.map { NoticeReport($0, name: nil) }
        because = notice?.event
        sentence = notice.map { String($0.text.dropLast()) }
    }

    /// Of a stream.
    init(frames: UInt64, name: String, because: String?) {
        self.name = name
        self.frames = frames
        self.because = because
        sentence = because.map { _ in "was ended by its producer" }
    }

    /// Every key is always there.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(event, forKey: .event)
        try container.encode(name, forKey: .name)
        try container.encode(frames, forKey: .frames)
        try container.encode(because, forKey: .because)
    }

    var text: String { "\(name.escapedForDisplay): \(frames) frame(s) shown\(sentence.map { "; it \($0)" } ?? "")\n" }
}
