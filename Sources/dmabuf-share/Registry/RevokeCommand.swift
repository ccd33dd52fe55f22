// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

struct RevokeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Ask for a buffer back from those who are attached, and say how far that got.",
        discussion: """
            Nobody can take back a descriptor that was passed. Those who are attached are told and have until \
            --within to let go; those who do not are revoked all the same. The answer is one of

              enforced      nobody has it any more, and the kernel's count proves it
              cooperative   all say that they let go, or are gone; nothing proves it
              unconfirmed   some did not answer, and are named; they may still reach it (status 1)

            A revoked attachment can be given back with `restore`, unless it was revoked with --final.

            EXAMPLES:
              dmabuf-share revoke frame
              dmabuf-share revoke frame --attachment 7 --within 0.5 --final --cut-off
            """)

    @OptionGroup var buffer: BufferArgument

    @Option(
        help: ArgumentHelp("This attachment alone, as `show` numbers it. Default: everyone's.", valueName: "number"))
    var attachment: UInt64?

    @Option(help: ArgumentHelp("How long they have to let go, 10 at most.", valueName: "seconds"))
    var within = Seconds(2)

    @Flag(help: "For good: it never comes back.")
    var final = false

    @Flag(help: "Cut off the connection of whoever does not answer.")
    var cutOff = false

    @OptionGroup var shown: TokenOptions
    @OptionGroup var options: RegistryOptions

    func validate() throws {
        if attachment == 0 { throw ValidationError("No attachment has the number 0.") }
    }

    func run() throws {
        try asking(options) { registry in
            let token = try shown.token()
            let id = try buffer.find(&registry, showing: token, until: options.deadline)
            let target: RevokeTerms.Target = attachment.map { .attachment(AttachmentID($0)) } ?? .everyone
            let terms = RevokeTerms(target, within: within.interval, isFinal: final, cutsOff: cutOff, token: token)
            // They have their time; then the registry looks at the count for a moment, and answers.
            let deadline = options.deadline.advanced(by: within.duration)
            guard case .revoked(let level) = try registry.ask(.revoke(id, terms), until: deadline) else { return }
            try emit(RevokeReport(id, level), json: options.json)
            if case .unconfirmed = level { throw ExitCode(Status.failed) }
        }
    }
}

struct RevokeReport: Report {
    let id: String
    let level: String
    /// Who did not answer.
    let holders: [HolderReport]
    private let sentence: String

    enum CodingKeys: CodingKey { case id, level, holders }

    init(_ id: BufferID, _ level: RevokeLevel) {
        self.id = id.hexadecimal
        self.level = level.name
        if case .unconfirmed(let late) = level { holders = late.map(HolderReport.init) } else { holders = [] }
        sentence = level.sentence
    }

    var text: String { "\(level): \(sentence)\n" }
}
