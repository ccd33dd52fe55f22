// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

@Suite("fdinfo, whatever a holder wrote into the name", .leavesNoDescriptor)
struct FDInfoTests {
    private func parse(_ text: String) -> FDInfo { FDInfo(parsing: Array(text.utf8)) }
    private let head = "pos:\t0\nflags:\t02\nmnt_id:\t14\nino:\t7\nsize:\t4096\ncount:\t3\nexp_name:\tudmabuf\n"

    @Test func readsTheFields() {
        let info = parse(head + "name:\tframe\n")
        #expect(info.inode == 7)
        #expect(info.byteCount == 4096)
        #expect(info.count == 3)
        #expect(info.exporterName == "udmabuf")
        #expect(info.name == "frame")
    }

    @Test func nothingAfterNameIsAField() {
        let info = parse(head + "name:\tx\ncount:\t1\nexp_name:\tevil\nsize:\t1\n")
        #expect(info.count == 3)
        #expect(info.exporterName == "udmabuf")
        #expect(info.byteCount == 4096)
        #expect(info.name == "x\ncount:\t1\nexp_name:\tevil\nsize:\t1")
    }

    @Test func theFirstOfAFieldCounts() {
        #expect(parse("count:\t2\ncount:\t9\n").count == 2)
    }

    @Test(arguments: ["", "\n\n\n", "no colon here", "count:", "count:\tmany\n", "name:", "\u{0}\u{1}"])
    func oddTextIsNoCrash(text: String) {
        let info = parse(text)
        #expect(info.count == nil)
        #expect(info.exporterName == nil)
    }

    @Test func controlCharactersAreEscaped() {
        #expect("a\nb\u{1b}[31m\u{7f}\u{202e}ü".escapedForDisplay == "a\\x0ab\\x1b[31m\\x7f\\u202eü")
    }

    @Test func mappingsAreParsed() throws {
        let line = "7f0a1000-7f0a3000 rw-s 100000000 00:0b 42                         /dmabuf:a\\012b c"
        let mapping = try #require(ProcFS.Mapping(parsing: line))
        #expect(mapping.start == 0x7f0a1000)
        #expect(mapping.end == 0x7f0a3000)
        #expect(mapping.inode == 42)
        #expect(mapping.device == 0x0b)
        #expect(mapping.path == "/dmabuf:a\\012b c")
        #expect(ProcFS.Mapping(parsing: "7ffd000-7ffe000 rw-p 00000000 00:00 0 [stack]") == nil)
        #expect(ProcFS.Mapping(parsing: "garbage") == nil)
        #expect(ProcFS.Mapping(parsing: "x-y z z z 5 p") == nil)
    }
}
