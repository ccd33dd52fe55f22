// SPDX-License-Identifier: Apache-2.0

import DMABufModel

/// A failing run, to be read.
package struct Story {
    package let text: String

    package init(_ plan: Plan) {
        var simulation = Simulation(plan, isRecording: true)
        var lines: [String] = []
        var end = "# every rule held"
        do throws(Violation) { try simulation.run() } catch { end = "# \(error.rule.rawValue): \(error.text)" }
        for record in simulation.records {
            lines.append("\(record.now.nanoseconds) \(record.act)")
            for effect in record.effects { lines.append("    \(effect)") }
        }
        text = (lines + [end, ""]).joined(separator: "\n")
    }

    package func write(to path: String) throws { }
}
