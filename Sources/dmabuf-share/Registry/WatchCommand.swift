// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufConnection
import DMABufModel
import DMABufSystem

struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Print what the registry says of some buffers, a line each, or how its list changes.",
        discussion: """
            With names: attaches to the buffers and behaves as everyone should. It lets go when it is asked to, maps the new \
            memory after a move, and leaves a buffer that is taken back for good or removed, or whose owner is gone. \
            Ends when nothing is left to watch. Without names: looks at the list of buffers, again and again. Either ends \
            on Control-C, or when nobody reads what it prints, with 0.

            EXAMPLES:
              dmabuf-share watch frame
              dmabuf-share watch --json | jq .event
            """)

    @Argument(
        help: "The buffers' names, or the 32 hexadecimal digits of their numbers.", completion: .registeredNames)
    var names: [String] = []

    @OptionGroup var user: UserOption

    @Option(help: ArgumentHelp("Without names: how long to wait between two looks.", valueName: "seconds"))
    var every = Seconds(1)

    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func validate() throws {
        if every.duration < .milliseconds(10) { throw ValidationError("Look less often.") }
    }

    func run() throws {
        try asking(options, onlyListening: true) { registry in
            let signals = try terminationSignals()
            defer { while signals.next() != nil {} }
            if names.isEmpty { try watchTheList(&registry, signals) } else { try watchBuffers(&registry, signals) }
        }
    }

    private func watchBuffers(_ registry: inout RegistryConnection, _ signals: borrowing SignalFD) throws {
        var watcher = Watcher(patience: options.timeout.duration)
        let token = try shown.token()
        for name in names {
            let attached = try user.attach(
                name, &registry, AttachTerms(.read, .movable, token: token), until: options.deadline)
            watcher.add(attached, name)
            try emitForReader(NoticeReport(attached, "attached", name: name), json: options.json)
        }
        let end = Deadline(nanoseconds: .max)
        while !watcher.isEmpty, let notice = try registry.nextNotice(until: end, unless: signals.descriptor) {
            // Said before it is acted upon, so that nothing is lost if that fails.
            try emitForReader(NoticeReport(notice, name: watcher.name(of: notice)), json: options.json)
            if let mapped = try watcher.act(on: notice, &registry) {
                try emitForReader(NoticeReport(mapped, "mapped", name: watcher.name(of: notice)), json: options.json)
            }
        }
    }

    private func watchTheList(_ registry: inout RegistryConnection, _ signals: borrowing SignalFD) throws {
        var known: [BufferID: Listing] = [:]
        repeat {
            let present = try registry.list(until: options.deadline)
            for listing in present where known[listing.buffer] != listing {
                let event = known[listing.buffer] == nil ? "added" : "changed"
                try emitForReader(ListingReport(event, listing), json: options.json)
            }
            let ids = Set(present.map(\.buffer))
            for listing in known.values where !ids.contains(listing.buffer) {
                try emitForReader(ListingReport("removed", listing), json: options.json)
            }
            known = Dictionary(present.map { ($0.buffer, $0) }) { $1 }
            // Whoever is attached to nothing is told nothing; only the registry's end is seen here.
            let next = Deadline.after(every.duration)
            while try registry.nextNotice(until: next, unless: signals.descriptor) != nil {}
        } while signals.next() == nil
    }
}

/// Some attachments, and what a good holder does about each notice.
private struct Watcher {
    private struct Watched {
        let name: String
        let buffer: BufferID
        /// nil when the memory has been let go of.
        var held: AttachedBuffer?
    }

    private var watched: [AttachmentID: Watched] = [:]
    private let patience: Duration

    init(patience: Duration) { self.patience = patience }

    var isEmpty: Bool { watched.isEmpty }

    mutating func add(_ attached: AttachedBuffer, _ name: String) {
        watched[attached.attachment] = Watched(name: name, buffer: attached.id, held: attached)
    }

    func name(of notice: Notice) -> String? {
        if let attachment = notice.attachment, let found = watched[attachment] { return found.name }
        return notice.buffer.flatMap { id in watched.values.first { $0.buffer == id }?.name }
    }

    /// What was mapped, if something was.
    mutating func act(on notice: Notice, _ registry: inout RegistryConnection) throws(RegistryError) -> AttachedBuffer?
    {
        switch notice {
        case .invalidate(let attachment, _, let generation, _):
            letGo(attachment)
            try attempt { () throws(RegistryError) in
                try registry.acknowledge(attachment, generation, until: .after(patience))
            }
        case .revoke(let attachment, _, let isFinal, _):
            letGo(attachment)
            try attempt { () throws(RegistryError) in
                try registry.ask(.acknowledgeRevoke(attachment), until: .after(patience))
            }
            if isFinal { try leave(attachment, &registry) }
        case .revoked(let attachment, _, let state):
            letGo(attachment)
            if state == .dead { try leave(attachment, &registry) }
        case .moved(let attachment, _, _), .moveAborted(let attachment, _, _), .restored(let attachment, _):
            return try map(attachment, &registry)
        case .withdrawn(let attachment, _), .ownerGone(let attachment, _): try leave(attachment, &registry)
        case .quarantined(let buffer, _):
            for attachment in watched.filter({ $0.value.buffer == buffer }).keys { try leave(attachment, &registry) }
        case .attachmentEnded(let attachment, _): watched[attachment] = nil
        default: break
        }
        return nil
    }

    private mutating func letGo(_ attachment: AttachmentID) { watched[attachment]?.held = nil }

    private mutating func map(
        _ attachment: AttachmentID, _ registry: inout RegistryConnection
    ) throws(RegistryError) -> AttachedBuffer? {
        guard watched[attachment] != nil else { return nil }
        letGo(attachment)
        let mapped = try attempt { () throws(RegistryError) in
            try registry.map(attachment, until: .after(patience))
        }
        watched[attachment]?.held = mapped
        return mapped
    }

    /// A watcher is not to be what keeps a buffer alive.
    private mutating func leave(_ attachment: AttachmentID, _ registry: inout RegistryConnection) throws(RegistryError)
    {
        guard watched.removeValue(forKey: attachment) != nil else { return }
        try attempt { () throws(RegistryError) in try registry.ask(.detach(attachment), until: .after(patience)) }
    }

    /// A rule that says no means that things have moved on, and another notice says how.
    @discardableResult
    private func attempt<Result>(_ work: () throws(RegistryError) -> Result) throws(RegistryError) -> Result? {
        do throws(RegistryError) { return try work() } catch {
            switch error {
            case .ruledOut, .connection(.deadline): return nil
            default: throw error
            }
        }
    }
}

/// A change of the list.
struct ListingReport: Report {
    let event: String
    let buffer: BufferReport

    init(_ event: String, _ listing: Listing) {
        self.event = event
        buffer = BufferReport(listing)
    }

    var text: String {
        let name = buffer.names.isEmpty ? buffer.id : buffer.names.map(\.quotedForDisplay).joined(separator: ", ")
        let state = buffer.state.isEmpty ? "" : ", " + buffer.state.joined(separator: ", ")
        return "\(event) \(name): \(humanBytes(buffer.size)), generation \(buffer.generation), "
            + "\(buffer.attachments) attached\(state)\n"
    }
}
