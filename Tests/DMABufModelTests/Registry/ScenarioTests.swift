// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufScenario
import Foundation
import Testing

/// The readable scenarios in `fixtures/scenarios`: requests in, effects out.
struct ScenarioFile: Sendable, CustomTestStringConvertible {
    var name: String
    var text: String

    var testDescription: String { name }

    static let all: [ScenarioFile] = {
        let folder = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("fixtures/scenarios")
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        return files.filter { $0.pathExtension == "txt" }.sorted { $0.path < $1.path }.map { file in
            let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
            return ScenarioFile(name: file.lastPathComponent, text: text)
        }
    }()
}

@Suite("Scenarios in fixtures/scenarios")
struct ScenarioTests {
    @Test("there is at least one for each rule")
    func present() {
        let names = Set(ScenarioFile.all.map(\.name))
        for rule in ["identity", "lifetime", "attach", "move", "revoke", "reservation", "locks", "rights", "quota"] {
            #expect(names.contains { $0.hasPrefix(rule) }, "no scenario for \(rule)")
        }
    }

    @Test("each step has the effects that the file says, and leaves the tables consistent", arguments: ScenarioFile.all)
    func plays(file: ScenarioFile) throws {
        let scenario = try Scenario(file.text)
        var registry = Registry(limits: scenario.limits)
        for entry in scenario.entries {
            let found = entry.step.play(on: &registry, at: entry.time)
            #expect(found == entry.expected, "\(file.name):\(entry.line): \(text(entry.step))")
            #expect(registry.problems() == [], "\(file.name):\(entry.line)")
        }
    }

    @Test("a step that is written is read back as the same step", arguments: ScenarioFile.all)
    func roundTrip(file: ScenarioFile) throws {
        for entry in try Scenario(file.text).entries {
            let again = try Scenario(text(entry.step, at: entry.time))
            #expect(again.entries.map(\.step) == [entry.step])
            #expect(again.entries.map(\.time) == [entry.time])
        }
    }

    @Test("a line that cannot be read is named")
    func unreadable() {
        for (text, line) in [
            ("  c1 told nothing", 1), ("connect uid 1\nc1 dance", 2), ("c1 detach b1", 1), ("@ 5 expire", 1),
            ("limit hope 5", 1), ("expire now", 1), ("c1 attach b1", 1), ("jump", 1), ("c1 attach b1 sideways", 1),
            ("count b1 g1 perhaps", 1), ("ended f1 well", 1), ("c1 share b1 nobody all", 1),
            ("c1 share b1 everyone hope", 1), ("c1 lookup n uid 4294967296", 1), ("c1 inspect b1.2.3", 1),
        ] {
            let error = #expect(throws: ScenarioError.self) { _ = try Scenario(text) }
            #expect(error?.line == line, "\(text)")
        }
    }
}
