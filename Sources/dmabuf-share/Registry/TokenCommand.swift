// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import SystemPackage

struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make and withdraw tokens: secrets that carry rights on a buffer to whoever shows them.",
        discussion: """
            A secret is 32 hexadecimal digits. It is written to a new file that only this user may read, or to standard \
            output, and read from a file or from $DMABUF_TOKEN; it is never an argument, for those are for all to see. \
            Who has only a token names the buffer by its number.

            EXAMPLES:
              dmabuf-share token create frame --rights read,fence --uses 3 --lasts 60 --out pass
              dmabuf-share attach 6f1e0c4c7c6d4d2f9a3b5e8d7c6b5a49 --token-file pass --read-only -- ./viewer
              dmabuf-share token withdraw --token-file pass
            """,
        subcommands: [TokenCreate.self, TokenAttenuate.self, TokenWithdraw.self])
}

/// What a new token carries, and where its secret goes.
struct NewTokenOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What it carries: of read, write, fence, pin, move, revoke, delegate, inspect, or all.", valueName: "rights"
        ))
    var rights: RightsArgument

    @Option(help: ArgumentHelp("How often it can be used. Default: as often as one likes.", valueName: "number"))
    var uses: UInt32?

    @Option(help: ArgumentHelp("How long it lasts. Default: as long as the buffer.", valueName: "seconds"))
    var lasts: Seconds?

    @Option(
        help: ArgumentHelp("Write the secret to this new file. Default: standard output.", valueName: "file"),
        completion: .file())
    var out: String?

    func validate() throws {
        if uses == 0 { throw ValidationError("A token has at least one use.") }
        if let lasts, lasts.duration <= .zero { throw ValidationError("A token lasts a while.") }
    }

    /// Makes it. The file is there first: a token whose secret nobody has is of no use.
    func make(
        of id: BufferID, from parent: TokenID?, _ registry: inout RegistryConnection, _ options: RegistryOptions
    ) throws {
        let secret = try TokenSecret.make()
        let terms = TokenTerms(rights.rights, uses: uses, lasts: lasts?.interval, parent: parent)
        if let out { try TokenSecret.write(secret, to: out) }
        do throws(RegistryError) {
            try registry.ask(.makeToken(secret, id, terms), until: options.deadline)
        } catch {
            if let out { try? FileType.remove(out) }
            throw error
        }
        try emit(TokenReport(id, terms, secret, out), json: options.json)
        if out == nil, !options.json { note("for buffer \(id.hexadecimal), rights \(rights.rights.words)") }
    }
}

struct TokenCreate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a token for a buffer of this user's.",
        discussion: """
            EXAMPLES:
              dmabuf-share token create frame --rights read,fence --uses 3 --lasts 60 --out pass
              DMABUF_TOKEN=$(dmabuf-share token create frame --rights read) ./viewer
            """)

    @OptionGroup var buffer: BufferArgument
    @OptionGroup var new: NewTokenOptions

    @Option(
        help: ArgumentHelp(
            "Delegate from the token whose secret is in this file, as `attenuate` does.", valueName: "file"),
        completion: .file())
    var fromFile: String?

    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let parent = try fromFile.map { (path) throws(DMABufError) in try TokenSecret.read(path) }
            let id = try buffer.find(&registry, showing: parent, until: options.deadline)
            try new.make(of: id, from: parent, &registry, options)
        }
    }
}

struct TokenAttenuate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attenuate", abstract: "Make a narrower token from one that carries the right to delegate.",
        discussion: """
            The new one has no right that the old one has not, does not outlast it, and uses it up with each use. \
            Withdrawing the old one withdraws it too.

            EXAMPLES:
              dmabuf-share token attenuate 6f1e0c4c7c6d4d2f9a3b5e8d7c6b5a49 --token-file pass --rights read --out less
            """)

    @OptionGroup var buffer: BufferArgument
    @OptionGroup var new: NewTokenOptions
    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let parent = try shown.neededToken()
            let id = try buffer.find(&registry, showing: parent, until: options.deadline)
            try new.make(of: id, from: parent, &registry, options)
        }
    }
}

struct TokenWithdraw: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "withdraw", abstract: "Withdraw a token, all made from it, and the attachments made with them.",
        discussion: """
            EXAMPLES:
              dmabuf-share token withdraw --token-file pass
            """)

    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            let token = try shown.neededToken()
            guard
                case .tokenWithdrawn(let tokens, let attachments) = try registry.ask(
                    .withdrawToken(token), until: options.deadline)
            else { return }
            try emit(WithdrawnReport(tokens: tokens, attachments: attachments), json: options.json)
        }
    }
}

struct RightsArgument: ExpressibleByArgument {
    let rights: Rights

    init?(argument: String) {
        guard let rights = Rights(words: argument) else { return nil }
        self.rights = rights
    }
}

struct TokenReport: Report {
    let id: String
    let rights: [String]
    let uses: UInt32?
    let lasts: UInt64?
    /// Left out where it is in a file.
    let secret: String?
    let file: String?

    enum CodingKeys: String, CodingKey {
        case id, rights, uses, secret, file
        case lasts = "lasts_ns"
    }

    init(_ id: BufferID, _ terms: TokenTerms, _ secret: TokenID, _ file: String?) {
        self.id = id.hexadecimal
        rights = Rights.named.filter { terms.rights.contains($0.right) }.map(\.name)
        uses = terms.uses
        lasts = terms.lasts?.nanoseconds
        self.secret = file == nil ? secret.hexadecimal : nil
        self.file = file
    }

    /// The secret alone, so that it can go where secrets go; or where it is.
    var text: String {
        if let secret { return secret + "\n" }
        return "token for \(id), rights \(rights.joined(separator: ", ")), in \((file ?? "-").escapedForDisplay)\n"
    }
}

struct WithdrawnReport: Report {
    let tokens: Int
    let attachments: Int

    var text: String { "withdrew \(tokens) token(s); \(attachments) attachment(s) are revoked with them\n" }
}
