// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
public import Testing

/// Every test leaves as many descriptors open as it found. Tests run one after another, so the count is theirs.
public struct LeakCheck: TestTrait, SuiteTrait, TestScoping {
    public var isRecursive: Bool { true }

    public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        let before = openDescriptors()
        try await function()
        // What a finished task held is let go a moment after its value is there.
        let deadline = Deadline.after(.seconds(20))
        while openDescriptors() != before, !deadline.hasPassed { Clock.sleep(.milliseconds(1)) }
        let after = openDescriptors()
        #expect(after == before, "the test left descriptors behind, or closed some that were not its own")
    }
}

extension Trait where Self == LeakCheck {
    public static var leavesNoDescriptor: Self { Self() }
}
