// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

struct ShareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "share",
        abstract: "Make a buffer and register it under a name.",
        discussion: """
            Stays in the foreground as the buffer's owner until a signal, or for as long as COMMAND runs, which \
            is given the buffer as `export` gives it. With --keep the registry keeps the buffer until `remove`. \
            Every client of this user has all rights on it; others have what --allow says.

            EXAMPLES:
              dmabuf-share share frame --image 1920x1080:XR24
              dmabuf-share share model --size 64M --from udmabuf --fill weights.bin --keep
              dmabuf-share share scratch --size 8M --allocate --from vgem
              dmabuf-share share cam0 --size 8M --allow user:1001=read,fence -- ./camera
              dmabuf-share share frame --size 8M --embedded
            """)

    @Argument(help: "The name, at most 255 bytes. It belongs to this user.")
    var name: String

    @OptionGroup var buffer: MakeOptions

    @Flag(help: "The registry keeps it until it is removed.")
    var keep = false

    @Flag(help: "The registry makes the buffer: for users who may not open the device.")
    var allocate = false

    @Flag(help: "Serve the registry's socket as well, for as long as this command runs.")
    var embedded = false

    @Option(help: ArgumentHelp("Let others: user:UID=RIGHTS, group:GID=RIGHTS or everyone=RIGHTS.", valueName: "share"))
    var allow: [ShareArgument] = []

    @OptionGroup var options: RegistryOptions

    @Argument(parsing: .postTerminator, help: "A command to run with the buffer, behind --.")
    var command: [String] = []

    func validate() throws {
        try checkName(name)
        if keep, embedded {
            throw ValidationError("--keep and --embedded: that registry ends with this command, and keeps nothing.")
        }
        if keep, !command.isEmpty { throw ValidationError("--keep and a COMMAND: one of them ends the buffer's life.") }
    }

    func run() throws {
        if embedded {
            try serving(options, share)
        } else {
            try asking(options) { registry in try share(&registry) }
        }
    }

    private func share(_ registry: inout RegistryConnection) throws {
        // Before anything is made: a signal that comes later ends the sharing, not the program half-way.
        let signals = try SignalFD.termination()
        if command.isEmpty {
            try register(&registry)
            if !keep { try waitForEnd(&registry, signals) }
        } else {
            let running = try BufferEnvironment(register(&registry), name: name).attend(words(of: command))
            throw ExitCode(try running.wait(&registry) { _ in })
        }
    }

    /// Makes and registers it. The caller lets go of it soon: the registry has it from here on, and what is kept beside it
    /// would count as somebody who still has it.
    @discardableResult
    private func register(_ registry: inout RegistryConnection) throws -> DescribedBuffer {
        let (id, generation, made) = try allocate ? order(&registry) : bring(&registry)
        try orWithdraw(id, &registry) { registry in
            for share in allow { try registry.ask(.share(id, share.share), until: options.deadline) }
        }
        try emit(SharedReport(name: name, id: id, generation: generation, made), json: options.json)
        return made
    }

    /// Not all that was asked for is of no use, and its name would be taken.
    private func orWithdraw<Result>(
        _ id: BufferID, _ registry: inout RegistryConnection, _ work: (inout RegistryConnection) throws -> Result
    ) throws -> Result {
        do { return try work(&registry) } catch {
            _ = try? registry.ask(.withdraw(id), until: options.deadline)
            throw error
        }
    }

    private var kept: Kept { keep ? .registry : .lastAttachment }

    private func bring(_ registry: inout RegistryConnection) throws -> (BufferID, Generation, DescribedBuffer) {
        let made = try buffer.make()
        let (id, generation) = try registry.register(made, kept: kept, name: name, until: options.deadline)
        return (id, generation, made)
    }

    private func order(_ registry: inout RegistryConnection) throws -> (BufferID, Generation, DescribedBuffer) {
        let (id, generation) = try registry.allocate(
            buffer.request, from: buffer.from?.text, kept: kept, until: options.deadline)
        return try orWithdraw(id, &registry) { registry in
            let attached = try registry.attach(id, AttachTerms(.readWrite), until: options.deadline)
            if let fill = buffer.fill {
                try registry.access(attached, .readWrite, until: options.deadline) { (buffer) throws(DMABufError) in
                    _ = try buffer.fill(from: fill)
                }
            }
            // Whoever finds it by its name finds it full.
            try registry.ask(.name(id, name), until: options.deadline)
            try registry.ask(.detach(attached.attachment), until: options.deadline)
            return (id, generation, attached.buffer)
        }
    }

    /// Until a signal; or the registry's end, which is an error, unless a terminal has told both to end.
    private func waitForEnd(_ registry: inout RegistryConnection, _ signals: borrowing SignalFD) throws {
        let end = Deadline(nanoseconds: .max)
        while signals.next() == nil {
            do throws(RegistryError) {
                _ = try registry.nextNotice(until: end, unless: signals.descriptor)
            } catch {
                if signals.next() != nil { return }
                throw error
            }
        }
    }
}

/// Who has one like a number is found by neither.
func checkName(_ name: String) throws {
    if BufferID(hexadecimal: name) != nil {
        throw ValidationError("32 hexadecimal digits are the number of a buffer: choose another name.")
    }
}

struct SharedReport: Report {
    let name: String
    let id: String
    let generation: UInt64
    let size: UInt64
    let exporter: String
    let kind: String

    init(name: String, id: BufferID, generation: Generation, _ buffer: DescribedBuffer) {
        self.name = name
        self.id = id.hexadecimal
        self.generation = generation.rawValue
        size = buffer.description.byteCount
        exporter = buffer.memory[0].exporterName
        kind = buffer.kind.rawValue
    }

    var text: String { "sharing \(name.quotedForDisplay), \(humanBytes(size)) of \(exporter), as \(id)\n" }
}

/// "user:1001=read,fence", "group:44=read", "everyone=read".
struct ShareArgument: ExpressibleByArgument {
    let share: Share

    init?(argument: String) {
        let halves = argument.split(separator: "=", maxSplits: 1)
        guard halves.count == 2, let rights = Rights(words: String(halves[1])) else { return nil }
        let who = halves[0].split(separator: ":", maxSplits: 1)
        switch (who.first, who.count) {
        case ("everyone", 1): share = Share(.everyone, rights)
        case ("user", 2):
            guard let uid = UInt32(who[1]) else { return nil }
            share = Share(.user(uid), rights)
        case ("group", 2):
            guard let gid = UInt32(who[1]) else { return nil }
            share = Share(.group(gid), rights)
        default: return nil
        }
    }
}

extension Rights {
    /// "read,write", or "all".
    init?(words: String) {
        self = []
        for word in words.split(separator: ",") {
            if word == "all" {
                formUnion(.all)
            } else {
                guard let right = Self.named.first(where: { $0.name == word })?.right else { return nil }
                insert(right)
            }
        }
        if isEmpty { return nil }
    }
}
