// SPDX-License-Identifier: Apache-2.0

import DMABufModel
import DMABufScenario
import DMABufWire
import Glibc

/// An input in the making.
private struct SeedBytes {
    var bytes: [UInt8]

    init(isPopulated: Bool) { bytes = [isPopulated ? 1 : 0] }

    mutating func step(_ kind: StepKind, _ place: Int, _ rest: [UInt8]) {
        bytes.append(kind.rawValue | UInt8(place & 3) << 3)
        bytes += rest
    }

    mutating func datagram(_ datagram: [UInt8], descriptors: Int, from place: Int) {
        step(
            .datagram, place, [UInt8(descriptors), UInt8(datagram.count & 0xff), UInt8(datagram.count >> 8)] + datagram)
    }

    mutating func message(_ message: Message, from place: Int) {
        let serial: UInt64 = message.opcode.isNotice ? 0 : 1
        datagram(
            Envelope(serial: serial, message).encoded(), descriptors: message.descriptorCount, from: place)
    }

    mutating func pass(_ nanoseconds: UInt64) {
        var rest = nanoseconds
        for (index, unit) in timeUnits.enumerated().reversed() {
            let count = min(rest / unit, 255)
            rest -= count * unit
            if count > 0 { step(.time, 0, [UInt8(index) | 0x10, UInt8(count)]) }
        }
    }
}

/// Of each fixture the message in it; of each scenario its requests, and what the rules answer.
func writeSeeds(of files: ArraySlice<String>, into folder: String) {
    write(seedOfWork().bytes, to: "\(folder)/work")
    for file in files {
        let name = file.split(separator: "/").suffix(2).joined(separator: "-")
        guard let text = read(file) else { fail("\(file) cannot be read") }
        if file.hasSuffix(".hex") {
            write(seed(ofFixture: text).bytes, to: "\(folder)/\(name)")
        } else if let scenario = try? Scenario(text) {
            let seed = seed(of: scenario)
            write(seed.bytes, to: "\(folder)/\(name)")
            write(replies(to: seed).bytes, to: "\(folder)/\(name)-replies")
        } else {
            fail("\(file) is no scenario")
        }
    }
}

/// What the registry and its worker say to each other, which no client does.
private func seedOfWork() -> SeedBytes {
    var seed = SeedBytes(isPopulated: true)
    let request = BufferRequest.image(width: 64, height: 48, format: .xrgb8888)
    let memories = Memories(.dmaBuf, request.linearDescription())
    seed.message(.order(WorkOrder(request, exporter: "udmabuf", source: memories)), from: 0)
    seed.message(.made(memories), from: 0)
    return seed
}

private func seed(ofFixture text: String) -> SeedBytes {
    var seed = SeedBytes(isPopulated: true)
    var (datagram, descriptors): ([UInt8], Int) = ([], 0)
    for line in text.split(separator: "\n") where !"#!".contains(line.first!) {
        let words = line.prefix { $0 != "|" }.split(separator: " ")
        if words.first == "@" {
            descriptors = Int(words[2]) ?? 0
        } else {
            datagram += words.map { UInt8($0, radix: 16)! }
        }
    }
    seed.datagram(datagram, descriptors: descriptors, from: 1)
    return seed
}

private func seed(of scenario: Scenario) -> SeedBytes {
    var seed = SeedBytes(isPopulated: false)
    var now: UInt64 = 0
    var places: [ClientID: Int] = [:]
    var registry = Registry(limits: scenario.limits)
    for entry in scenario.entries {
        seed.pass(entry.time.nanoseconds - now)
        now = entry.time.nanoseconds
        let lines = entry.step.play(on: &registry, at: entry.time)
        switch entry.step {
        case .connect(let identity):
            let index = World.identities.firstIndex { $0.uid == identity.uid } ?? 0
            seed.step(.connect, places.count, [UInt8(index)])
            if let number = lines.first.flatMap({ UInt64($0.dropFirst("client c".count)) }) {
                places[ClientID(number)] = places.count
            }
        case .request(let client, _, let request): seed.message(message(request), from: places[client] ?? 0)
        case .observe(let observation): observe(observation, places, &seed)
        case .expire, .restart, .comeBack, .impose: seed.step(.time, 0, [0, 0])
        }
    }
    return seed
}

private func observe(_ observation: Observation, _ places: [ClientID: Int], _ seed: inout SeedBytes) {
    switch observation {
    case .clientDied(let client): seed.step(.client, places[client] ?? 0, [0])
    case .delivered(let client, let notices):
        seed.step(.client, places[client] ?? 0, [UInt8(clamping: max(1, notices))])
    case .count(let buffer, let generation, let count):
        let how: UInt8 =
            switch count {
            case .atBaseline: 0
            case .raised: 2
            case .untold: 3
            }
        seed.step(.count, 0, [UInt8(clamping: buffer.low), UInt8(clamping: generation.rawValue), how])
    case .copyDone(let buffer, let generation, _):
        seed.step(.copy, 0, [UInt8(clamping: buffer.low), UInt8(clamping: generation.rawValue), 0])
    case .copyFailed(let buffer, let generation):
        seed.step(.copy, 0, [UInt8(clamping: buffer.low), UInt8(clamping: generation.rawValue), 3])
    // The pages are no message, and no datagram speaks of them.
    case .accesses: break
    case .fenceEnded(let fence, let end): seed.step(.fence, 0, [UInt8(clamping: fence.rawValue), end == .ok ? 0 : 200])
    }
}

private func message(_ request: Request) -> Message {
    switch request {
    case .register(_, let new):
        .register(NewBuffer(memories(new.backing), kept: new.kept, name: new.name == "" ? nil : new.name))
    case .commitMove(let buffer, let generation, let backing, let fence):
        .commitMove(NewGeneration(of: buffer, from: generation, memories(backing), fence: fence))
    default: .request(request)
    }
}

private func memories(_ backing: Backing) -> Memories {
    Memories(backing.provesRelease ? .dmaBuf : .memfd, .bytes(backing.byteCount))
}

/// What the rules send when the seed is played, as a client's datagrams: they are decoded, and ignored.
private func replies(to seed: SeedBytes) -> SeedBytes {
    var world = World()
    // Each kind of message once.
    nonisolated(unsafe) var sent: [Opcode: Envelope] = [:]
    world.onSend = { sent[$0.message.opcode] = $0 }
    seed.bytes.withUnsafeBufferPointer { world.play(Input($0)) }
    var replies = SeedBytes(isPopulated: false)
    for (_, envelope) in sent.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
        replies.message(envelope.message, from: 0)
    }
    return replies
}

private func read(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var text: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 65536)
    while case let count = fread(&part, 1, part.count, file), count > 0 { text += part.prefix(count) }
    return String(decoding: text, as: UTF8.self)
}

private func write(_ bytes: [UInt8], to path: String) {
    guard let file = fopen(path, "w"), fwrite(bytes, 1, bytes.count, file) == bytes.count, fclose(file) == 0 else {
        fail("\(path) cannot be written")
    }
}
