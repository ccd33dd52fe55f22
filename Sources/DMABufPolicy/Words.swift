// SPDX-License-Identifier: Apache-2.0

/// A word of a line: printable ASCII.
struct Word {
    var text: String
    var column: Int

    /// For a message: of bounded length.
    var quoted: String { text.utf8.count <= 40 ? "'\(text)'" : "'\(text.prefix(40))...'" }
}

/// The words of a line, taken from the left.
struct Words {
    private var words: [Word] = []
    private var next = 0
    let line: Int
    /// Behind the last word.
    private let end: Int

    /// What begins with `#` is a comment, in which anything may stand.
    init(_ bytes: ArraySlice<UInt8>, line: Int) throws(PolicyError) {
        self.line = line
        let bytes = bytes.last == 0x0d ? bytes.dropLast() : bytes
        guard bytes.count <= Policy.longestLine else {
            throw PolicyError(
                line: line, column: Policy.longestLine + 1, "the line is longer than \(Policy.longestLine) bytes")
        }
        var (word, last): ([UInt8], Int) = ([], 1)
        for (offset, byte) in bytes.enumerated() {
            let column = offset + 1
            if byte == 0x20 || byte == 0x09 {
                Self.end(&word, at: column, in: &words)
            } else if byte == 0x23, word.isEmpty {
                break
            } else if (0x21...0x7e).contains(byte) {
                word.append(byte)
                last = column + 1
            } else {
                throw PolicyError(
                    line: line, column: column, "the byte 0x\(String(byte, radix: 16)) can stand in a comment only")
            }
        }
        Self.end(&word, at: last, in: &words)
        end = last
    }

    private static func end(_ word: inout [UInt8], at column: Int, in words: inout [Word]) {
        if !word.isEmpty {
            words.append(Word(text: String(decoding: word, as: UTF8.self), column: column - word.count))
        }
        word = []
    }

    var isAtEnd: Bool { next >= words.count }
    /// Where the line begins, for what is wrong with it as a whole.
    var beginning: Int { words.first?.column ?? 1 }
    var first: String? { isAtEnd ? nil : words[next].text }

    func fail(_ sentence: String, at column: Int) -> PolicyError { PolicyError(line: line, column: column, sentence) }
    func fail(_ sentence: String, at word: Word) -> PolicyError { fail(sentence, at: word.column) }

    mutating func take(_ word: String) -> Bool {
        guard first == word else { return false }
        next += 1
        return true
    }

    /// `what` says what should stand here.
    mutating func word(_ what: String) throws(PolicyError) -> Word {
        guard !isAtEnd else { throw fail("here should follow \(what)", at: end) }
        next += 1
        return words[next - 1]
    }

    mutating func expect(_ word: String) throws(PolicyError) {
        let found = try self.word("'\(word)'")
        guard found.text == word else { throw fail("'\(word)' should stand here, not \(found.quoted)", at: found) }
    }

    /// One of the words that are known, and what it stands for.
    mutating func choice<Choice>(_ what: String, of known: [(String, Choice)]) throws(PolicyError) -> Choice {
        let words = known.map(\.0)
        let found = try word("\(what): \(words.joined(separator: ", "))")
        guard let choice = known.first(where: { $0.0 == found.text }) else {
            throw unknown(found, what, words)
        }
        return choice.1
    }

    func unknown(_ word: Word, _ what: String, _ known: [String]) -> PolicyError {
        let hint = nearest(to: word.text, of: known).map { "did you mean '\($0)'?" } ?? known.joined(separator: ", ")
        return fail("\(word.quoted) is not \(what): \(hint)", at: word)
    }

    func checkEnd() throws(PolicyError) {
        guard !isAtEnd else { return }
        throw fail("\(words[next].quoted) is one word too many", at: words[next])
    }
}

/// The known word that is meant, if one is near: two slips at most in a word of four letters and more, one in a shorter.
func nearest(to word: String, of known: [String]) -> String? {
    guard word.utf8.count <= 24 else { return nil }
    let limit = word.utf8.count >= 4 ? 2 : 1
    let distances = known.map { (distance(Array(word.utf8), Array($0.utf8)), $0) }
    guard let best = distances.min(by: { $0.0 < $1.0 }), best.0 <= limit, best.0 < best.1.utf8.count else { return nil }
    return best.1
}

/// How many letters are to be put in, left out, exchanged or swapped with their neighbour.
private func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var rows = [Array(0...b.count)]
    for row in 0..<a.count {
        var current = [row + 1]
        for column in 0..<b.count {
            let exchanged = rows[row][column] + (a[row] == b[column] ? 0 : 1)
            var least = min(exchanged, rows[row][column + 1] + 1, current[column] + 1)
            if row > 0, column > 0, a[row] == b[column - 1], a[row - 1] == b[column] {
                least = min(least, rows[row - 1][column - 1] + 1)
            }
            current.append(least)
        }
        rows.append(current)
    }
    return rows[a.count][b.count]
}
