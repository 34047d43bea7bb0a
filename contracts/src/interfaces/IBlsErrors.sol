// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title IBlsErrors
/// @notice Why a BLS key, possession or certificate is refused. A contract that uses the BLS libraries inherits it, so that
///         its ABI names every error.
interface IBlsErrors {
    /// @notice A precompile refused its input (a field element ≥ p, a point off the curve or outside the subgroup), ran out
    ///         of gas, or does not exist on this chain. Nothing is known about the signature.
    error BlsPrecompileFailed(address precompile);
    /// @notice A key, or a sum of keys, is the point at infinity: everybody could sign for it.
    error InfiniteBlsKey();
    /// @notice The point at infinity is nobody's signature.
    error InfiniteBlsSignature();
    /// @notice A key has `expected` bytes.
    error InvalidBlsKeyLength(uint256 length, uint256 expected);
    /// @notice A signature has `expected` bytes.
    error InvalidBlsSignatureLength(uint256 length, uint256 expected);
    /// @notice The operator holds a key and must give it up before it registers another.
    error BlsKeyHeld(address operator);
    /// @notice The key or its negation has been registered before; `coordinate` is the hash of its x coordinate.
    error BlsKeyUsed(bytes32 coordinate);
    /// @notice The possession is not the key's signature over the digest that names the operator.
    error InvalidBlsPossession(address operator);
    /// @notice A certificate of this epoch has `expected` bytes.
    error InvalidBlsCertificateLength(uint256 length, uint256 expected);
    /// @notice The set is larger than a certificate can speak of.
    error BlsSetTooLarge(uint256 size, uint256 maximum);
    /// @notice The absentee bitmap has a bit behind the end of the epoch's list.
    error AbsenteeOutOfRange(uint256 absentees, uint256 size);
    /// @notice The aggregate signature is not, over this digest, that of all validators but the absentees.
    error InvalidAggregateSignature(bytes32 digest, uint256 absentees);
}
