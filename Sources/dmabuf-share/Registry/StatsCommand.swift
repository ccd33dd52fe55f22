// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufClient
import DMABufSystem
import DMABufWire

struct StatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show the registry's figures: what is there now, and what it has done.",
        discussion: """
            For the user who runs the registry, and root.

            EXAMPLES:
              dmabuf-share stats
              dmabuf-share stats --json
            """)

    @OptionGroup var options: RegistryOptions

    func run() throws {
        try asking(options) { registry in
            try emit(StatsReport(try registry.statistics(until: options.deadline)), json: options.json)
        }
    }
}

struct StatsReport: Report {
    private let figures: [Statistic]

    init(_ figures: [Statistic]) { self.figures = figures }

    /// A key for each figure, by its name.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Name.self)
        for figure in figures { try container.encode(figure.value, forKey: Name(stringValue: figure.name)) }
    }

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    var text: String {
        var table = Table(["FIGURE", "VALUE"])
        for figure in figures { table.add([figure.name.escapedForDisplay, "\(figure.value)"]) }
        return table.text
    }
}
