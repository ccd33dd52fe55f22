// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufScenario

/// A failing run as a scenario: to be read, and to be kept as a test once the rules are right.
package struct Story {
    package let text: String

    package init(_ plan: Plan, stoppingBefore fatal: Int? = nil, tampering: Simulation.Tampering? = nil) {
        // A walk on the way to the fatal step could end the process as well.
        let stride = fatal == nil ? 1 : 0
        var simulation = Simulation(
            plan, stride: stride, isRecording: true, stoppingBefore: fatal, tampering: tampering)
        var verdict = "every rule held"
        do throws(Violation) { try simulation.run() } catch { verdict = "\(error.rule.rawValue): \(error.text)" }
        let lines =
            ["# Seed \(plan.seed), \(plan.steps.count) steps. \(verdict)."] + Self.lines(limits: plan.limits)
            + simulation.records.flatMap { Self.lines(of: $0, simulation.peers) }
        text = lines.joined(separator: "\n") + "\n"
    }

    private static func lines(of record: Simulation.Record, _ peers: [ClientID]) -> [String] {
        let step: DMABufScenario.Step =
            switch record.act {
            case .connect(let identity): .connect(identity)
            case .request(let peer, let number, let request): .request(peers[peer], number, request)
            case .observe(let observation): .observe(observation)
            case .expire: .expire
            }
        var lines = [DMABufScenario.text(step, at: record.now)]
        if let client = record.client { lines.append("  client \(DMABufScenario.text(client))") }
        if let refusal = record.refusal { lines.append("  " + text(refusal)) }
        return lines + record.effects.map { "  \(DMABufScenario.text($0))" }
    }

    /// As a scenario has it, which is as an answer without its addressee.
    private static func text(_ refusal: Refusal) -> String {
        let answer = Effect.answer(ClientID(0), RequestNumber(0), .refused(refusal))
        return DMABufScenario.text(answer).split(separator: " ").dropFirst(2).joined(separator: " ")
    }

    private static func lines(limits: Limits) -> [String] {
        let usual = Limits()
        return Limits.named.filter { limits[keyPath: $0.1] != usual[keyPath: $0.1] }
            .map { "limit \($0.0) \(limits[keyPath: $0.1])" }
            + Limits.namedSmall.filter { limits[keyPath: $0.1] != usual[keyPath: $0.1] }
            .map { "limit \($0.0) \(limits[keyPath: $0.1])" }
    }
}

extension Limits {
    fileprivate static var named: [(String, KeyPath<Limits, UInt64>)] {
        [
            ("buffers", \.buffers), ("bytes", \.bytes), ("descriptors", \.descriptors), ("pinnedBytes", \.pinnedBytes),
            ("attachments", \.attachments), ("quarantinedBytes", \.quarantinedBytes), ("notices", \.notices),
        ]
    }

    fileprivate static var namedSmall: [(String, KeyPath<Limits, UInt32>)] {
        [
            ("clients", \.clients), ("noticesPerClient", \.noticesPerClient), ("fencesPerBuffer", \.fencesPerBuffer),
            ("waitsPerClient", \.waitsPerClient), ("buffersPerLock", \.buffersPerLock),
            ("tokensPerBuffer", \.tokensPerBuffer), ("sharesPerBuffer", \.sharesPerBuffer),
            ("namesPerBuffer", \.namesPerBuffer), ("delegationDepth", \.delegationDepth),
        ]
    }
}
