// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufPolicy
import DMABufSystem
import DMABufWire
import Logging

// Rule: policy.
//
// The policy is asked before the rules, and may say no or narrow what is asked. It is read again when told to (SIGHUP); a
// file that is wrong changes nothing. A new one holds for what is asked from then on: who may not connect any more is let
// go, and what was granted stays.

extension RegistryServer {
    /// What shows no token, where there is no policy, goes to the rules as it came: a request is not copied for nothing.
    mutating func decide(_ request: Request, _ id: ClientID, _ client: ClientConnection) {
        if case .beginMove(_, _, let terms) = request, terms.copier == .server {
            guard placement(terms.placement, for: client, arriving.number.rawValue) != nil else { return }
        }
        guard request.showsToken || policy.lineCount > 0 else { return pass(request, id) }
        let known = request.mappingTokens { tokens.hash($0) }
        do throws(Refusal) { pass(try permit(known, id, client), id) } catch {
            ruleOut(error, arriving.number.rawValue, client)
        }
    }

    /// The request as the policy lets it through.
    private func permit(_ request: Request, _ id: ClientID, _ client: ClientConnection) throws(Refusal) -> Request {
        guard policy.lineCount > 0 else { return request }
        let owner = registry.owner(concerning: request, from: id)
        return try policy.decide(request, from: client.known, owner: owner)
    }

    /// Answers as a rule does that refuses.
    mutating func ruleOut(_ refusal: Refusal, _ serial: UInt64, _ client: ClientConnection) {
        counters.refusals += 1
        if case .deniedByPolicy(let line) = refusal {
            note(
                .debug, "denied by the policy",
                ["line": "\(line)", "uid": "\(client.identity.user)", "pid": "\(client.identity.process)"])
        }
        say(.answer(.refused(refusal)), serial, to: client)
    }

    /// With which exporter the registry makes memory, for a buffer or for a copy: as the policy says; else as it is asked for,
    /// by the registry's own user and root, or by everyone where it was started so. nil for others, who have been told.
    mutating func placement(_ name: String?, for client: ClientConnection, _ serial: UInt64) -> Policy.Placement? {
        // What a worker opens is a node of the kernel's folders, and no file of the client's choice.
        if let name, name.contains("/") {
            let error = DMABufError(.invalid, "an exporter is named without a path: dumb:card0")
            refuse(error, serial, client)
            return nil
        }
        do throws(Refusal) {
            if let placement = try policy.placement(name, for: client.known) { return placement }
            let isServed = configuration.allocatesForAll || OwnProcess.trusts(client.identity.user)
            if isServed { return Policy.Placement(exporter: name) }
            refuse(DMABufError(.refused, "this registry makes buffers for its own user and for root"), serial, client)
        } catch { ruleOut(error, serial, client) }
        return nil
    }

    /// SIGHUP.
    mutating func readPolicyAgain() {
        guard let file = configuration.policyFile else { return }
        configuration.reloading?(true)
        do throws(PolicyFile.Problem) {
            install(try file.read())
            counters.policyErrors = 0
            log.notice("the policy was read again", metadata: ["lines": "\(policy.lineCount)"])
        } catch {
            let lines = file.lines(error)
            counters.policyErrors = UInt64(lines.count)
            for line in lines { log.error("\(line)") }
            log.error("the policy stays as it was")
        }
        configuration.reloading?(false)
    }

    private mutating func install(_ policy: Policy) {
        self.policy = policy
        registry.limits = policy.limits(insteadOf: ownLimits)
        for client in clients.all {
            guard let id = client.id else { continue }
            do throws(Refusal) {
                try policy.checkConnect(client.known, ownUser: OwnProcess.userID)
                registry.impose(policy.conditions(for: client.known), on: id)
            } catch { part(client, error.reasonToPart, error.farewell) }
        }
        observe()
    }
}

extension Refusal {
    /// A limit can have room later; all else stands.
    var reasonToPart: Farewell.Reason {
        switch self {
        case .tooMany, .overQuota: .full
        default: .unserved
        }
    }

    /// Why a client is not taken.
    var farewell: String {
        if case .deniedByPolicy(let line) = self {
            return "line \(line) of the registry's policy does not let this user connect"
        }
        return "\(self)"
    }
}
