// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufSystem
import DMABufWire
import Synchronization
import SystemPackage
import TestSupport

/// A client that speaks by hand, with several requests on their way at a time.
struct RawMember: ~Copyable {
    private let number: Int
    private let path: String
    private let tally: Crowd.Tally
    private var client: HandClient
    private var joined: Joined
    /// What each request that was sent is about, until it is answered.
    private var owed: [UInt64: String] = [:]
    private var there: [String: BufferID] = [:]
    private var turn = 0

    init(_ number: Int, _ path: String, _ tally: Crowd.Tally) throws {
        var client = try HandClient(silentAt: path)
        joined = try client.join()
        self.client = client
        (self.number, self.path, self.tally) = (number, path, tally)
    }

    /// Until told to stop, coming back to each next registry.
    static func comingBack(_ number: Int, _ path: String, _ tally: Crowd.Tally) throws {
        var member = try RawMember(number, path, tally)
        while !tally.isOver.load(ordering: .relaxed) {
            do { try member.takeTurn() } catch {
                try member.checkEnd(error, expected: .closed)
                try tally.timed { try member.comeBack() }
            }
        }
    }

    /// Until the registry says farewell.
    static func untilFarewell(_ number: Int, _ path: String, _ tally: Crowd.Tally) throws {
        var member = try RawMember(number, path, tally)
        while true {
            do { try member.takeTurn(kept: .registry) } catch {
                try member.checkEnd(error, expected: .farewell(.leaving))
                let there = member.there
                return tally.there.withLock { $0.merge(there) { $1 } }
            }
        }
    }

    private mutating func takeTurn(kept: Kept = .owner) throws {
        turn += 1
        try tally.timed {
            for part in 0..<4 {
                let name = "raw\(number)-\(turn)-\(part)"
                try send(.register(NewBuffer(HandClient.memories(), kept: kept, name: name)), name)
            }
            try hearAll()
        }
        try tally.timed {
            for (name, id) in there where name != "raw\(number)-\(turn)-0" {
                try send(.request(.withdraw(id)), name)
                // Until the answer says so it may be there or not.
            }
            try hearAll()
        }
        tally.endTurn(of: number)
    }

    /// What cannot be sent is never done.
    private mutating func send(_ message: Message, _ name: String) throws {
        let isRegistration = if case .register = message { true } else { false }
        do throws(Errno) {
            let memory = isRegistration ? try? HandClient.memory() : nil
            owed[try client.send(message, memory ?? DescriptorList())] = name
        } catch {
            guard error == .brokenPipe || error == .connectionReset else { throw error }
            if isRegistration { tally.never.withLock { _ = $0.insert(name) } }
            // All that was sent before is answered, and then comes the end.
            try hearAll()
            _ = try client.hear()
            throw Errno.badMessage
        }
    }

    private mutating func hearAll() throws {
        while !owed.isEmpty { try take(try client.hear(within: .seconds(30))) }
    }

    private mutating func take(_ heard: (message: Message, serial: UInt64)) throws {
        if case .notice = heard.message { return }
        guard let name = owed.removeValue(forKey: heard.serial) else {
            return tally.note("\(number): \(heard.message) answers nothing, or for the second time")
        }
        switch heard.message {
        case .answer(.registered(let id, _)): there[name] = id
        case .answer(.done): there[name] = nil
        default: tally.note("\(number): \(name) is answered with \(heard.message)")
        }
    }

    private mutating func checkEnd(_ error: any Error, expected: HandClient.End) throws {
        guard error as? HandClient.End == expected else { throw error }
        if !owed.isEmpty { tally.note("\(number): no answer about \(owed.values.sorted())") }
        owed = [:]
    }

    private mutating func comeBack() throws {
        let deadline = Crowd.limit
        while true {
            do {
                client = try HandClient(silentAt: path)
                let next = try client.join(with: joined.secret)
                if next.client != joined.client { tally.note("\(number) is somebody else") }
                joined = next
                break
            } catch {
                if deadline.hasPassed { throw error }
                Clock.sleep(.milliseconds(5))
            }
        }
        let never = tally.never.withLock { all in all.filter { $0.hasPrefix("raw\(number)-") } }
        for (name, id) in there where try !isThere(name, id) { tally.note("\(name) is lost") }
        for name in never where try isThere(name, nil) { tally.note("\(name) was never sent, and is there") }
    }

    private mutating func isThere(_ name: String, _ id: BufferID?) throws -> Bool {
        switch try client.ask(.lookup(name, uid: nil)) {
        case .found(let found, _): id == nil || id == found
        default: false
        }
    }
}
