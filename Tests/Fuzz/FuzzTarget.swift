// SPDX-License-Identifier: Apache-2.0

import Glibc

// The decoder and the registry's rules under libFuzzer, as `make fuzz` builds it. An input is a conversation: datagrams of
// four clients, time, and what the server sees of the world. Datagrams are decoded strictly, and what is decoded encodes to
// the same bytes; requests go to the rules, whose answers and notices encode and decode likewise. Afterwards the rules'
// tables are consistent, and when everyone has gone nothing is left. Anything else is a trap, and so a crash.

@c(LLVMFuzzerTestOneInput)
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var world = World()
    world.play(Input(UnsafeBufferPointer(start: start, count: count)))
    world.checkTables()
    world.tearDown()
    return 0
}

/// `--seeds FOLDER FILE…` writes seeds of those fixtures and scenarios, and ends. All else is libFuzzer's.
@c(LLVMFuzzerInitialize)
public func initialize(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> CInt {
    let words = (1..<Int(count.pointee)).compactMap { arguments.pointee[$0].map { String(cString: $0) } }
    if words.first == "--seeds" {
        writeSeeds(of: words.dropFirst(2), into: words[1])
        exit(0)
    }
    atexit { Reached.report() }
    return 0
}

func fail(_ what: String) -> Never { fatalError("fuzz: \(what)") }
