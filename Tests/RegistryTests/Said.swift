// SPDX-License-Identifier: Apache-2.0

/// A line of the client's: an answer, or a notice.
struct Said: Decodable, CustomStringConvertible {
    private let values: [String: Value]

    init(from decoder: any Decoder) throws { values = try [String: Value](from: decoder) }

    var isNotice: Bool { values["notice"] != nil }
    var name: String { "\(self[isNotice ? "notice" : "answer"])" }
    subscript(key: String) -> Value { values[key] ?? .nothing }
    /// The rule that ruled it out.
    var rule: Value { self["rule"] }
    var description: String { "\(values)" }

    /// What is said under a name. Its description can be put into a command.
    enum Value: Equatable, CustomStringConvertible {
        case nothing
        case number(UInt64)
        case text(String)
        case list([Value])
        case fields([String: Value])

        subscript(key: String) -> Value {
            if case .fields(let fields) = self { fields[key] ?? .nothing } else { .nothing }
        }
        subscript(index: Int) -> Value {
            if case .list(let list) = self, list.indices.contains(index) { list[index] } else { .nothing }
        }
        var count: Int { if case .list(let list) = self { list.count } else { 0 } }

        var description: String {
            switch self {
            case .nothing: "nothing"
            case .number(let number): "\(number)"
            case .text(let text): text
            case .list(let list): "\(list)"
            case .fields(let fields): "\(fields)"
            }
        }
    }
}

extension Said.Value: Decodable {
    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let number = try? value.decode(UInt64.self) {
            self = .number(number)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let list = try? value.decode([Self].self) {
            self = .list(list)
        } else if let fields = try? value.decode([String: Self].self) {
            self = .fields(fields)
        } else {
            self = .nothing
        }
    }
}

extension Said.Value: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral {
    init(integerLiteral value: UInt64) { self = .number(value) }
    init(stringLiteral value: String) { self = .text(value) }
    init(arrayLiteral elements: Self...) { self = .list(elements) }
}
