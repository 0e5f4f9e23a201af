# pragma version 0.4.3
# pragma evm-version cancun
# A test contract with the part of Multicall3 that facilitators simulate payments with: tryAggregate.

struct Call:
    target: address
    callData: Bytes[4096]

struct Result:
    success: bool
    returnData: Bytes[1024]


@external
@payable
def tryAggregate(require_success: bool, calls: DynArray[Call, 4]) -> DynArray[Result, 4]:
    results: DynArray[Result, 4] = []
    for each: Call in calls:
        success: bool = False
        data: Bytes[1024] = b""
        success, data = raw_call(each.target, each.callData, max_outsize=1024, revert_on_failure=False)
        assert success or not require_success, "call failed"
        results.append(Result(success=success, returnData=data))
    return results
