// SPDX-License-Identifier: Apache-2.0

import DMABufClient
import DMABufModel
import DMABufSystem
import TestSupport
import Testing

@Suite("revoke and restore", .leavesNoDescriptor)
struct RevokeCommandTests {
    private static var soon: Deadline { .after(.seconds(10)) }

    private func shared() throws -> RunningRegistry {
        let registry = try RunningRegistry()
        let run = try registry.run("share", "frame", "--from", "memfd", "--size", "8K", "--keep")
        #expect(run.status == 0, "\(run.errors)")
        return registry
    }

    @Test("all let go: cooperative, for a stand-in proves nothing; and it can be given back")
    func cooperative() throws {
        let registry = try shared()
        var holder = try Holder(registry)
        let attachment = holder.attached.attachment
        let revoking = try registry.start("revoke", "frame", "--within", "10")
        guard case .revoke(attachment, _, false, _) = try holder.client.nextNotice(until: Self.soon) else {
            Issue.record("it was not told")
            return
        }
        try holder.client.ask(.acknowledgeRevoke(attachment), until: Self.soon)
        let run = try revoking.finish()
        #expect(run.status == 0 && run.output.hasPrefix("cooperative: all who had it say"), "\(run)")
        let restored = try registry.run("restore", "frame", "--attachment", "\(attachment.rawValue)")
        #expect(restored.status == 0, "\(restored)")
        guard case .restored(attachment, _) = try holder.client.nextNotice(until: Self.soon) else {
            Issue.record("it was not told")
            return
        }
        _ = try holder.client.map(attachment, until: Self.soon)
        _ = try registry.stop()
    }

    @Test("who does not answer is named, and the status is 1; for good, it never comes back")
    func unconfirmed() throws {
        let registry = try shared()
        var holder = try Holder(registry)
        let attachment = holder.attached.attachment.rawValue
        let run = try registry.run(
            "revoke", "frame", "--attachment", "\(attachment)", "--within", "0.1", "--final", "--json")
        #expect(run.status == 1 && run.errors.isEmpty, "\(run)")
        #expect(run.output.contains(#""holders":[{"attachment":\#(attachment),"client":"#), "\(run)")
        #expect(run.output.contains(#""level":"unconfirmed""#), "\(run)")
        let ended = try holder.client.ask(.endAccess(holder.attached.attachment), until: Self.soon)
        #expect(ended == .accessEnded(.dead))
        let restored = try registry.run("restore", "frame", "--attachment", "\(attachment)")
        #expect(restored.status == 4 && restored.errors.contains("revoked for good"), "\(restored)")
        let text = try registry.run("revoke", "frame", "--within", "0.1")
        let who = "unconfirmed: not answered by attachment \(attachment) of"
        #expect(text.status == 1 && text.output.hasPrefix(who), "to ask again is no answer: \(text)")
        _ = try registry.stop()
    }

    @Test("who does not answer is cut off, where that was asked for")
    func cutOff() throws {
        let registry = try shared()
        var holder = try Holder(registry)
        let run = try registry.run("revoke", "frame", "--within", "0.1", "--cut-off")
        let who = "attachment \(holder.attached.attachment.rawValue) of client "
        #expect(run.status == 1 && run.output.contains("unconfirmed: not answered by \(who)"), "\(run)")
        #expect(throws: RegistryError.self) {
            while try holder.client.nextNotice(until: Self.soon) != nil {}
        }
        _ = try registry.stop()
    }

    @Test("what cannot be is said")
    func errors() throws {
        let registry = try shared()
        #expect(try registry.run("revoke", "other").status == 4)
        #expect(try registry.run("revoke", "frame", "--attachment", "9999").status == 4)
        #expect(try registry.run("revoke", "frame", "--within", "60").status == 4)
        #expect(try registry.run("restore", "frame").status == 64)
        _ = try registry.stop()
    }
}
