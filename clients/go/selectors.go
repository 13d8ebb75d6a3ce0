package scotoma

import (
	"google.golang.org/protobuf/proto"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// Selector is a set of tokens: a TokenSet, or the complement of one. nil is every token.
type Selector interface{ message() *v1.TokenSelector }

// TokenSet is a union of sets of tokens; Tokens makes them.
type TokenSet struct{ sets []*v1.Tokens }

// Complement is all tokens but those of a set.
type Complement struct{ set TokenSet }

// Or is what is in one of them.
func (s TokenSet) Or(others ...TokenSet) TokenSet {
	sets := append([]*v1.Tokens{}, s.sets...)
	for _, other := range others {
		sets = append(sets, other.sets...)
	}
	return TokenSet{sets}
}

// Not is all other tokens.
func (s TokenSet) Not() Complement { return Complement{s} }

// Not is the set again.
func (c Complement) Not() TokenSet { return c.set }

func (s TokenSet) message() *v1.TokenSelector { return &v1.TokenSelector{AnyOf: s.sets} }

func (c Complement) message() *v1.TokenSelector {
	return &v1.TokenSelector{AnyOf: c.set.sets, Complement: true}
}

func selected(s Selector) *v1.TokenSelector {
	if s == nil {
		return nil
	}
	return s.message()
}

type tokenSets struct {
	// Visual is all tokens of pictures, newline vectors and class token included; in the tower every patch.
	Visual TokenSet
	// Text is the text of the prompt.
	Text TokenSet
	// System is the system prompt.
	System TokenSet
	// Question is the user's words, in a conversation those of the last message.
	Question TokenSet
	// Last is the token that the next one is predicted from.
	Last TokenSet
	// Generated is generated tokens.
	Generated TokenSet
	// Newline is the newline vectors of any-resolution pictures.
	Newline TokenSet
	// Class is the class token.
	Class TokenSet
	// BaseView is the patches of base views.
	BaseView TokenSet
	// User is the words of all messages of the user.
	User TokenSet
	// Assistant is the words of all messages of the assistant in the prompt.
	Assistant TokenSet
}

// Tokens has sets of tokens by what they are: Tokens.Visual.Or(Tokens.Last), Tokens.Block(2, 3).Not().
var Tokens = tokenSets{
	Visual: tokensNamed(v1.Tokens_NAMED_VISUAL), Text: tokensNamed(v1.Tokens_NAMED_TEXT), System: tokensNamed(v1.Tokens_NAMED_SYSTEM),
	Question: tokensNamed(v1.Tokens_NAMED_QUESTION), Last: tokensNamed(v1.Tokens_NAMED_LAST), Generated: tokensNamed(v1.Tokens_NAMED_GENERATED),
	Newline: tokensNamed(v1.Tokens_NAMED_NEWLINE), Class: tokensNamed(v1.Tokens_NAMED_CLASS), BaseView: tokensNamed(v1.Tokens_NAMED_BASE_VIEW),
	User: tokensNamed(v1.Tokens_NAMED_USER), Assistant: tokensNamed(v1.Tokens_NAMED_ASSISTANT),
}

func tokensOf(tokens *v1.Tokens) TokenSet { return TokenSet{[]*v1.Tokens{tokens}} }

func tokensNamed(name v1.Tokens_Named) TokenSet {
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Named_{Named: name}})
}

// At is tokens by number.
func (tokenSets) At(indices ...uint32) TokenSet {
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Indices{Indices: &v1.TokenIndices{Indices: indices}}})
}

// Block is the patches in blocks of a grid x grid partition, by number, row by row from 0.
func (tokenSets) Block(grid uint32, numbers ...uint32) TokenSet {
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Blocks{Blocks: &v1.TokenBlocks{Grid: grid, Indices: numbers}}})
}

// Image is all tokens of one picture of the request, from 0.
func (tokenSets) Image(number uint32) TokenSet {
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Image{Image: number}})
}

// Tile is the patches of one tile of any-resolution pictures, row by row from 0.
func (tokenSets) Tile(number uint32) TokenSet {
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Tile{Tile: number}})
}

// Turn is the words and pictures of one message of a conversation, from 0.
func (tokenSets) Turn(number uint32) TokenSet {
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Turn{Turn: number}})
}

// Random is a random share (0 to 1) of the patches of each picture.
func (tokenSets) Random(ratio float64, seed uint64) TokenSet {
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Random{Random: &v1.RandomPatches{Ratio: ratio, Seed: proto.Uint64(seed)}}})
}

// Salient is the fewest patches of each picture that hold this mass (0 to 1) of the attention.
func (tokenSets) Salient(mass float64) TokenSet {
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Salient{Salient: salient(mass)}})
}

// SalientShare is this share (0 to 1) of the patches of each picture, the most attended ones.
func (tokenSets) SalientShare(share float64) TokenSet {
	patches := &v1.SalientPatches{Amount: &v1.SalientPatches_Share{Share: share}}
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Salient{Salient: patches}})
}

// SalientCount is so many patches of each picture, the most attended ones.
func (tokenSets) SalientCount(count uint32) TokenSet {
	patches := &v1.SalientPatches{Amount: &v1.SalientPatches_Count{Count: count}}
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Salient{Salient: patches}})
}

// Measured is so many tokens, the highest by a number that is measured of each at one hook point, without interventions; an option sets
// another Amount, Among, Looking, Lowest, Head or Vector.
func (tokenSets) Measured(
	point string, measure v1.MeasuredTokens_Measure, count uint32, options ...func(*v1.MeasuredTokens),
) TokenSet {
	m := &v1.MeasuredTokens{Point: point, Measure: measure, Amount: &v1.MeasuredTokens_Count{Count: count}}
	return tokensOf(&v1.Tokens{Set: &v1.Tokens_Measured{Measured: with(m, options)}})
}

// Where is what a target says beside its hook point; all of each unless it is said.
type Where struct {
	// Layers that {l} stands for.
	Layers []uint32
	// Tokens; at attention scores and patterns those that look.
	Tokens Selector
	// Heads, at points that have them.
	Heads []uint32
	// Dimensions are places along the last dimension.
	Dimensions []uint32
	// Steps of the answer: Step(0) is the prompt, StepsFrom(1) what is generated.
	Steps *v1.Steps
}

// At is a hook point, as ListHookPoints names them, such as language_model.blocks.{l}.hook_resid_post.
func At(point string, where Where) *v1.Target {
	return &v1.Target{
		Point: point, Layers: where.Layers, Tokens: selected(where.Tokens), Heads: where.Heads, Dimensions: where.Dimensions,
		Steps: where.Steps,
	}
}

// Step is one step of an answer: 0 is the prompt, k the k-th generated token.
func Step(number uint32) *v1.Steps { return StepsTo(number, number) }

// StepsTo is the steps from first to last.
func StepsTo(first, last uint32) *v1.Steps { return &v1.Steps{First: first, Last: proto.Uint32(last)} }

// StepsFrom is all steps from first on.
func StepsFrom(first uint32) *v1.Steps { return &v1.Steps{First: first} }

// Layers is the numbers from first up to, and without, end.
func Layers(first, end uint32) []uint32 {
	var numbers []uint32
	for number := first; number < end; number++ {
		numbers = append(numbers, number)
	}
	return numbers
}
