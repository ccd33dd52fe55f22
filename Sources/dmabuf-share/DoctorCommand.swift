// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufDevices
import DMABufSystem

struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what this machine can share, and what to do about what it cannot.",
        discussion: """
            Ends with 0 if a real dma-buf can be made here, by any exporter, and with 2 if not: then only the stand-in \
            (memfd) is left. Not every check needs to be good for that. Run it as the user who will share.

            EXAMPLES:
              dmabuf-share doctor
              dmabuf-share doctor --json
            """)

    @Flag(help: "Print as JSON.")
    var json = false

    func run() throws {
        let report = DoctorReport(.examine())
        try emit(report, json: json)
        if !report.real { throw ExitCode(Status.unavailable) }
    }
}

/// The diagnosis: see JSON OUTPUT in the man page.
struct DoctorReport: Report {
    let checks: [Check]
    let real: Bool

    struct Check: Encodable {
        let id: String
        let ok: Bool
        let why: String
        let remedy: String?

        enum CodingKeys: CodingKey { case id, ok, why, remedy }

        /// `remedy` is always there, null where there is nothing to do.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(id, forKey: .id)
            try container.encode(ok, forKey: .ok)
            try container.encode(why, forKey: .why)
            try container.encode(remedy, forKey: .remedy)
        }
    }

    init(_ diagnosis: Diagnosis) {
        checks = (diagnosis.checks + RegistryFindings.find()).map {
            Check(id: $0.id, ok: $0.ok, why: $0.why, remedy: $0.remedy)
        }
        real = diagnosis.real
    }

    var text: String {
        var table = Table(["CHECK", "", "WHY"])
        for check in checks {
            table.add([check.id.escapedForDisplay, check.ok ? "ok" : "no", check.why.escapedForDisplay])
            if let remedy = check.remedy { table.add(["", "", "try this: \(remedy.escapedForDisplay)"]) }
        }
        return table.text + "\n"
            + (real
                ? "Real dma-bufs can be shared here.\n"
                : "No real dma-buf can be made here: only the stand-in (memfd) can be shared.\n")
    }
}
