// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufDevices
import DMABufSystem
import DMABufWire

/// Whether a registry serves here, and how much room it has.
enum RegistryFindings {
    private static let patience: Duration = .seconds(1)

    static func find() -> [Check] {
        guard let path = RegistryAddress.standard else {
            return [
                Check(
                    id: "registry", ok: false, why: "no place for its socket: $XDG_RUNTIME_DIR is not set",
                    remedy: "export \(RegistryAddress.variable)=/some/folder/registry.sock")
            ]
        }
        do throws(RegistryError) {
            let deadline = Deadline.after(patience)
            var registry = try RegistryConnection(at: path, until: deadline)
            return serving(path, try? registry.statistics(until: deadline))
        } catch {
            let reason = error.asError
            return [Check(id: "registry", ok: false, why: reason.message, remedy: reason.remedy)]
        }
    }

    private static func serving(_ path: String, _ figures: [Statistic]?) -> [Check] {
        let served = Check(
            id: "registry", ok: true, why: "serves at \(path), protocol version \(Wire.version)", remedy: nil)
        guard let figures else { return [served] }
        let (used, limit) = (value("descriptors", in: figures), value("descriptor_limit", in: figures))
        let room = Check(
            id: "registry-room", ok: used < limit / 2,
            why: "\(value("buffers", in: figures)) buffers, \(value("clients", in: figures)) clients, "
                + "\(used) of \(limit) descriptors",
            remedy: used < limit / 2
                ? nil : "raise its limit of open files (LimitNOFILE=, ulimit -n), or remove buffers")
        return [served, room, survives(figures), policy(figures), counts(figures)]
    }

    private static func policy(_ figures: [Statistic]) -> Check {
        let (lines, errors) = (value("policy_lines", in: figures), value("policy_errors", in: figures))
        return Check(
            id: "registry-policy", ok: errors == 0,
            why: errors == 0
                ? lines == 0 ? "it has no policy: its socket's mode says who may connect" : "a policy of \(lines) lines"
                : "the file has \(errors) mistakes since it was read again: the policy before that holds",
            remedy: errors == 0 ? nil : "mend what `dmabuf-share serve --check FILE` names, and send it SIGHUP")
    }

    private static func counts(_ figures: [Statistic]) -> Check {
        let ok = value("counts_readable", in: figures) == 1
        return Check(
            id: "registry-counts", ok: ok,
            why: ok
                ? "it can read its own /proc, and so prove that memory is released"
                : "it cannot read its own /proc: no release is proved, and quarantines do not end",
            remedy: ok ? nil : "give it a /proc of its own processes (ProcSubset=, hidepid= and mounts hide it)")
    }

    private static func survives(_ figures: [Statistic]) -> Check {
        let ok = value("surviving", in: figures) == 1
        return Check(
            id: "registry-survives", ok: ok,
            why: ok
                ? "its vault holds what is registered" : "no vault holds what is registered: it ends with its process",
            remedy: ok ? nil : "serve without --no-vault; a vault that was lost is replaced by itself: see the log")
    }

    private static func value(_ name: String, in figures: [Statistic]) -> UInt64 {
        figures.first { $0.name == name }?.value ?? 0
    }
}
