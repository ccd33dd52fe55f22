// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem
import DMABufWire
import SystemPackage
import TestSupport
import Testing

/// Each line of a policy, between two users whom the kernel tells apart: one is allowed, the other is not.
@Suite("Policy", .leavesNoDescriptor, .requires("root"))
struct PolicyTests {
    private let ann: UInt32 = 65532
    private let bob: UInt32 = 65533

    @Test("connect: who may not is told which line says so; root always may")
    func connect() throws {
        let registry = try PolicedRegistry("allow uid \(ann) connect\ndeny everyone connect\n")
        _ = try registry.client(ann)
        _ = try registry.client(0)
        let run = try registry.start(bob, "list").finish()
        #expect(run.status != 0 && run.errors.contains("line 2 of the registry's policy"), "\(run.errors)")
        _ = try registry.stop()
    }

    @Test("connect: a group")
    func group() throws {
        let registry = try PolicedRegistry("deny group 4444 connect")
        #expect(try registry.start(bob, group: 4444, "list").finish().status != 0)
        #expect(try registry.start(bob, group: 4445, "list").finish().status == 0)
        _ = try registry.stop()
    }

    static let actions = [
        "register", "share", "token", "attach", "pin", "move", "revoke", "fence", "inspect", "lock",
    ]

    @Test("an action that is denied to one user, and one that is allowed to one alone", arguments: actions)
    func action(_ action: String) throws {
        let registry = try PolicedRegistry("deny uid \(bob) \(action)")
        #expect(try perform(action, ann, registry) == nil)
        #expect(try perform(action, bob, registry) == .deniedByPolicy(line: 1))
        try registry.change("# says\nallow uid \(bob) \(action)\ndeny everyone \(action)")
        #expect(try perform(action, bob, registry) == nil)
        #expect(try perform(action, ann, registry) == .deniedByPolicy(line: 3))
        #expect(try registry.stop().status == 0)
    }

    /// On a buffer of its own.
    private func perform(
        _ action: String, _ user: UInt32, _ registry: borrowing PolicedRegistry
    ) throws -> Refusal? {
        let limit = registry.limit
        var client = try registry.client(user)
        if action == "register" { return try refusal { _ = try client.registerPage(until: limit) } }
        let id = try client.registerPage(until: limit)
        if action == "attach" { return try refusal { _ = try client.attach(id, AttachTerms(.read), until: limit) } }
        let attachment = try client.attach(id, AttachTerms(.read), until: limit).attachment
        return try refusal {
            switch action {
            case "share": try client.ask(.share(id, Share(.everyone, .attachRead)), until: limit)
            case "token":
                try client.ask(.makeToken(TokenID(high: 1, low: 2), id, TokenTerms(.attachRead)), until: limit)
            case "pin": try client.ask(.pin(attachment), until: limit)
            case "move": try client.ask(.beginMove(id, .first, MoveTerms(within: .seconds(1))), until: limit)
            case "revoke":
                try client.ask(.revoke(id, RevokeTerms(.everyone, within: .milliseconds(50))), until: limit)
            case "fence": try client.ask(.reserve(attachment, slots: 1), until: limit)
            case "inspect": _ = try client.inspect(id, until: limit)
            default: try client.ask(.lock([id], within: .seconds(1), lasting: .seconds(1)), until: limit)
            }
        }
    }

    @Test("share: what, with whom")
    func sharing() throws {
        let registry = try PolicedRegistry(
            """
            allow uid \(ann) share uid \(bob) read,fence
            deny everyone share
            """)
        let limit = registry.limit
        var owner = try registry.client(ann)
        var other = try registry.client(bob)
        let mine = try owner.registerPage("mine", until: limit)
        let its = try other.registerPage(until: limit)
        #expect(try owner.ask(.share(mine, Share(.user(bob), .attachRead)), until: limit) == .done)
        for share in [Share(.user(bob), [.attachRead, .pin]), Share(.everyone, .attachRead), Share(.user(1), .fence)] {
            #expect(try refusal { try owner.ask(.share(mine, share), until: limit) } == .deniedByPolicy(line: 2))
        }
        #expect(
            try refusal { try other.ask(.share(its, Share(.user(ann), .attachRead)), until: limit) }
                == .deniedByPolicy(line: 2))
        #expect(try other.attach("mine", of: ann, AttachTerms(.read), until: limit).generation == .first)
        // Taking back is always allowed.
        #expect(try owner.ask(.share(mine, Share(.user(bob), [])), until: limit) == .done)
        _ = try registry.stop()
    }

    @Test("of own, of others, of a user; what is shared already is not attached any more")
    func whose() throws {
        let registry = try PolicedRegistry("")
        let limit = registry.limit
        var owner = try registry.client(ann)
        var other = try registry.client(bob)
        let id = try owner.registerPage("frame", until: limit)
        let rights: Rights = [.attachRead, .attachWrite, .revoke, .pin]
        try owner.ask(.share(id, Share(.user(bob), rights)), until: limit)
        let own = try other.registerPage(until: limit)
        let revoke = RevokeTerms(.everyone, within: .milliseconds(50))
        func attach(_ access: Access) -> Request { .attachNamed("frame", uid: ann, AttachTerms(access)) }

        try registry.change("deny everyone revoke of others")
        #expect(try refusal { try other.ask(.revoke(id, revoke), until: limit) } == .deniedByPolicy(line: 1))
        #expect(try refusal { try other.ask(.revoke(own, revoke), until: limit) } == nil)
        #expect(try refusal { try owner.ask(.revoke(id, revoke), until: limit) } == nil)

        try registry.change("deny uid \(bob) attach write of others\ndeny everyone pin of uid \(ann)")
        #expect(
            try refusal { _ = try other.attach(id, AttachTerms(.readWrite), until: limit) }
                == .deniedByPolicy(line: 1))
        #expect(try refusal { _ = try other.attach(own, AttachTerms(.readWrite), until: limit) } == nil)
        let attached = try other.attach(id, AttachTerms(.read), until: limit)
        #expect(
            try refusal { try other.ask(.pin(attached.attachment), until: limit) } == .deniedByPolicy(line: 2))

        // Whoever may not know of a buffer learns nothing from the policy.
        try owner.ask(.share(id, Share(.user(bob), [])), until: limit)
        try other.ask(.detach(attached.attachment), until: limit)
        try registry.change("deny everyone attach of others")
        #expect(try refusal { _ = try other.attach(id, AttachTerms(.read), until: limit) } == .noSuchBuffer)
        _ = try registry.stop()
    }

    @Test("allocate: for whom, and with which exporters")
    func allocation() throws {
        let registry = try PolicedRegistry(
            "allow uid \(bob) allocate memfd\ndeny uid \(bob) allocate\n# of others nothing is said\n")
        let limit = registry.limit
        var served = try registry.client(bob)
        var other = try registry.client(ann)
        #expect(try refusal { _ = try served.allocate(.bytes(4096), from: "memfd", until: limit) } == nil)
        // None named: the one that the line names.
        let (id, _) = try served.allocate(.bytes(4096), until: limit)
        let attached = try served.attach(id, AttachTerms(.read), until: limit)
        #expect(attached.buffer.kind == .memfd)
        #expect(
            try refusal { _ = try served.allocate(.bytes(4096), from: "vgem", until: limit) }
                == .deniedByPolicy(line: 2))
        // As without a policy: for its own user and root.
        #expect(throws: RegistryError.self) { _ = try other.allocate(.bytes(4096), from: "memfd", until: limit) }
        try registry.change("deny everyone allocate")
        var root = try registry.client(0)
        #expect(
            try refusal { _ = try root.allocate(.bytes(4096), from: "memfd", until: limit) }
                == .deniedByPolicy(line: 1))
        _ = try registry.stop()
    }

    @Test("quota: the greedy one is stopped at its ceiling, and the other has what it asks for")
    func ceiling() throws {
        let registry = try PolicedRegistry("quota uid \(bob) buffers 3\nquota uid \(bob) pinned-bytes 4K\n")
        let limit = registry.limit
        var greedy = try registry.client(bob)
        var other = try registry.client(ann)
        var ids: [BufferID] = []
        for _ in 0..<3 { ids.append(try greedy.registerPage(until: limit)) }
        let over = Refusal.overCeiling(CeilingExcess(resource: .buffers, line: 1, limit: 3, share: 3))
        #expect(try refusal { _ = try greedy.registerPage(until: limit) } == over)
        var again = try registry.client(bob)
        #expect(try refusal { _ = try again.registerPage(until: limit) } == over)
        for _ in 0..<10 { _ = try other.registerPage(until: limit) }
        #expect(try refusal { _ = try greedy.attach(ids[0], AttachTerms(.read, .pinned), until: limit) } == nil)
        #expect(
            try refusal { _ = try greedy.attach(ids[1], AttachTerms(.read, .pinned), until: limit) }
                == .overCeiling(CeilingExcess(resource: .pinnedBytes, line: 2, limit: 4096, share: 4096)))
        // Raised, and it goes on.
        try registry.change("quota uid \(bob) buffers 4")
        #expect(try refusal { _ = try greedy.registerPage(until: limit) } == nil)
        #expect(
            try refusal { _ = try greedy.registerPage(until: limit) }
                == .overCeiling(CeilingExcess(resource: .buffers, line: 1, limit: 4, share: 4)))
        _ = try registry.stop()
    }

    @Test("quota: of a total, the other still gets its share, however greedy one is")
    func total() throws {
        let registry = try PolicedRegistry("quota total buffers 12")
        let limit = registry.limit
        var greedy = try registry.client(bob)
        var other = try registry.client(ann)
        func fill(_ client: inout RegistryConnection) throws -> Int {
            for count in 0... {
                let found = try refusal { _ = try client.registerPage(until: limit) }
                guard let found else { continue }
                guard case .overQuota(let excess) = found else { throw Errno.invalidArgument }
                #expect(excess.resource == .buffers && excess.limit == 12)
                return count
            }
            return 0
        }
        #expect(try fill(&greedy) == 4)
        #expect(try fill(&other) == 2)
        _ = try registry.stop()
    }

    @Test("lease: it is laid upon one user's attachments to the buffers of others")
    func lease() throws {
        let registry = try PolicedRegistry(
            "lease uid \(bob) of others at most 1s\nrevoke everyone grace 50ms keep\n")
        let limit = registry.limit
        var owner = try registry.client(ann)
        var other = try registry.client(bob)
        let id = try owner.registerPage(until: limit)
        try owner.ask(.share(id, Share(.everyone, .attachRead)), until: limit)
        _ = try owner.attach(id, AttachTerms(.read), until: limit)
        let own = try other.registerPage(until: limit)
        _ = try other.attach(own, AttachTerms(.read), until: limit)
        let attachment = try other.attach(id, AttachTerms(.read, lease: .seconds(3600)), until: limit).attachment
        // Renewed for long, it lasts as long as the line says.
        try other.ask(.renew(attachment, lease: .seconds(3600)), until: limit)
        guard case .revoke(attachment, id, isFinal: true, _) = try other.nextNotice(until: limit) else {
            Issue.record("the lease did not end")
            return
        }
        // It says nothing, and stays, as the ladder has it.
        #expect(try other.nextNotice(until: limit) == .revoked(attachment, id, .dead))
        #expect(try refusal { _ = try other.map(attachment, until: limit) } == .dead)
        #expect(try owner.nextNotice(until: .after(.milliseconds(300))) == nil)
        #expect(try other.nextNotice(until: .now()) == nil)
        _ = try registry.stop()
    }

    @Test("revoke: who does not let go is cut off, or stays, as the line says")
    func ladder() throws {
        let registry = try PolicedRegistry("revoke uid \(bob) grace 1s cut-off\nrevoke uid \(ann) grace 1s keep")
        let limit = registry.limit
        var owner = try registry.client(0)
        let id = try owner.registerPage(until: limit)
        try owner.ask(.share(id, Share(.everyone, .attachRead)), until: limit)
        var stays = try registry.client(ann)
        var goes = try registry.client(bob)
        for isMeant in [true, false] {
            _ =
                isMeant
                ? try goes.attach(id, AttachTerms(.read), until: limit)
                : try stays.attach(id, AttachTerms(.read), until: limit)
        }
        // The asker wants nobody cut off.
        let terms = RevokeTerms(.everyone, within: .milliseconds(100), cutsOff: false)
        guard case .revoked(.unconfirmed(let late)) = try owner.ask(.revoke(id, terms), until: limit) else {
            throw Errno.invalidArgument
        }
        #expect(late.count == 2)
        #expect(try stays.ask(.list(from: 0), until: limit) != .done)
        #expect(throws: RegistryError.self) { try goes.ask(.list(from: 0), until: limit) }
        _ = try registry.stop()
    }

    @Test("revoke: the process of who does not let go is killed")
    func kill() throws {
        let registry = try PolicedRegistry("lease uid \(bob) at most 2s\nrevoke uid \(bob) grace 50ms kill")
        let limit = registry.limit
        var owner = try registry.client(ann)
        let id = try owner.registerPage("frame", until: limit)
        try owner.ask(.share(id, Share(.everyone, [.attachRead, .attachWrite])), until: limit)
        let holder = try registry.start(bob, "attach", "frame", "--of", "\(ann)", "--", "sleep", "8")
        try wait { try owner.inspect(id, until: limit).inspection.holders.count == 1 }
        // It can say nothing any more.
        try holder.send(.stop)
        #expect(try holder.finish().status == 137)
        try wait { try owner.inspect(id, until: limit).inspection.holders.isEmpty }
        #expect(registry.log.contains("killed"))
        _ = try registry.stop()
    }

    @Test("read again: a broken file changes nothing and is logged; who may not connect any more is let go")
    func readAgain() throws {
        let registry = try PolicedRegistry("deny uid \(bob) pin")
        let limit = registry.limit
        var first = try registry.client(ann)
        var second = try registry.client(bob)
        let id = try second.registerPage(until: limit)
        let attachment = try second.attach(id, AttachTerms(.read), until: limit).attachment
        func pin(_ client: inout RegistryConnection) throws -> Refusal? {
            try refusal { try client.ask(.pin(attachment), until: limit) }
        }
        #expect(try pin(&second) == .deniedByPolicy(line: 1))
        try registry.write("deny uid \(bob) pni\nallow\n")
        try registry.send(.hangUp)
        try wait { registry.log.contains("the policy stays as it was") }
        #expect(registry.log.contains("\(registry.file):1:16: 'pni' is not what somebody does: did you mean 'pin'?"))
        #expect(registry.log.contains("\(registry.file):2:6: "))
        let unwell = try Tool.run("doctor", "--json", environment: ["DMABUF_SHARE_SOCKET": registry.socket]).output
        #expect(unwell.contains(#""id":"registry-policy","ok":false"#), "\(unwell)")
        #expect(try pin(&second) == .deniedByPolicy(line: 1))
        try registry.change("deny uid \(ann) connect")
        let well = try Tool.run("doctor", "--json", environment: ["DMABUF_SHARE_SOCKET": registry.socket]).output
        #expect(well.contains(#""id":"registry-policy","ok":true"#), "\(well)")
        #expect(try pin(&second) == nil)
        #expect(throws: RegistryError.self) { try first.ask(.list(from: 0), until: limit) }
        #expect(throws: RegistryError.self) { _ = try registry.client(ann) }
        _ = try registry.stop()
    }

    @Test("a service manager is told of it", .requires("python3"))
    func serviceManager() throws {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let manager = """
            import socket, sys
            end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            end.bind(sys.argv[1] + "/notify")
            end.settimeout(60)
            for _ in range(4): print(end.recv(1000).decode().split("\\n")[0], flush=True)
            """
        let running = try Running(["python3", "-c", manager, folder])
        try wait { FileType(at: "\(folder)/notify") == .socket }
        let registry = try PolicedRegistry("", environment: ["NOTIFY_SOCKET": "\(folder)/notify"])
        try registry.change("deny everyone pin")
        _ = try registry.stop()
        #expect(try running.finish().output == "READY=1\nRELOADING=1\nREADY=1\nSTOPPING=1\n")
    }
}

@Suite("Policy: files", .leavesNoDescriptor)
struct PolicyFileTests {
    private func check(_ policy: String, _ options: String...) throws -> (run: Run, file: String) {
        let folder = try TemporaryFolder.make()
        defer { TemporaryFolder.remove(folder) }
        let file = "\(folder)/policy"
        let script = "printf %s \"$POLICY_TEXT\" >\(file); exec \"$@\""
        let words = ["sh", "-c", script, "sh", Tool.path, "serve"] + options + [file]
        return (try Running(words, environment: ["POLICY_TEXT": policy]).finish(), file)
    }

    @Test("--check names every mistake, and serves nothing")
    func mistakes() throws {
        let (run, file) = try check("alow\n\nquota uid 1 byte 3", "--check")
        #expect(run.status == 1)
        #expect(
            run.output == """
                \(file):1:1: 'alow' is not a beginning of a line: did you mean 'allow'?
                \(file):3:13: 'byte' is not a resource: did you mean 'bytes'?

                """)
        let (json, _) = try check("alow", "--json", "--check")
        #expect(json.status == 1)
        #expect(json.output.contains(#""column":1,"line":1,"message":"'alow' is not a beginning"#), "\(json.output)")
        #expect(json.output.contains(#""ok":false,"schema":1"#))
    }

    @Test("--check of a policy that is one")
    func good() throws {
        let (run, file) = try check("deny everyone pin\n", "--check")
        #expect(run.status == 0 && run.output == "\(file): 1 line, nothing wrong\n", "\(run)")
        let (json, _) = try check("deny everyone pin\n", "--json", "--check")
        #expect(json.status == 0 && json.output.contains(#""lines":1,"ok":true"#), "\(json)")
    }

    @Test("a registry does not begin with a policy that is wrong, or is none")
    func begin() throws {
        let (run, file) = try check("alow", "--socket", "/tmp/nobody-serves-here.sock", "--policy")
        #expect(run.status == 1 && run.errors.contains("\(file):1:1: "), "\(run.errors)")
        #expect(FileType(at: "/tmp/nobody-serves-here.sock") == .missing)
        let missing = try Tool.run("serve", "--policy", "/nowhere")
        #expect(missing.status == 1 && missing.errors.contains("/nowhere: No such file"), "\(missing.errors)")
        let pipe = try Tool.run("serve", "--check", "/dev/null")
        #expect(pipe.status == 1 && pipe.output.contains("not a regular file"), "\(pipe.output)")
    }
}
