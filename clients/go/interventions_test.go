package scotoma

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

var resid = At("language_model.blocks.{l}.hook_resid_post", Where{Layers: Layers(5, 6), Tokens: Tokens.Last, Steps: Step(0)})

// One of each kind by its helper.
var helpers = []*v1.Intervention{
	PermuteTokens(1), OccludeAtRandom(0.5, 1), DropLayers(1), SwapProjector("default"), BlankImage(v1.BlankImage_COLOUR_WHITE),
	ShufflePatches(3, 1), SelectTokens(Tokens.Block(2, 3), v1.SelectTokens_MODE_KEEP), ReplaceTokens(Tokens.At(1), v1.Constant_CONSTANT_MEAN),
	RepeatLayers(2, 3, 1), ExitEarly(6), AddNoise(resid, 0.5), Steer(resid, []float32{1}, 2), ProjectOut(resid, []float32{1}),
	Scale(resid, 0.5), Ablate(resid, v1.Constant_CONSTANT_ZERO), Patch(resid, []float32{1, 2}), KnockOutAttention(Tokens.Last, nil),
	PruneTokens(2, 0.5), ClampNorm(resid, 1), SetFeature(resid, "", 1, 3),
}

func TestEveryKindOfTheContractHasAHelper(t *testing.T) {
	made := map[string]bool{}
	for _, own := range helpers {
		made[string(own.ProtoReflect().WhichOneof(own.ProtoReflect().Descriptor().Oneofs().ByName("kind")).Name())] = true
	}
	kinds := (&v1.Intervention{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range kinds.Len() {
		if name := string(kinds.Get(i).Name()); !made[name] {
			t.Errorf("%s has no helper in interventions.go", name)
		}
	}
}

func TestEveryNamedSetIsThere(t *testing.T) {
	said := []TokenSet{
		Tokens.Visual, Tokens.Text, Tokens.System, Tokens.Question, Tokens.Last, Tokens.Generated, Tokens.Newline, Tokens.Class,
		Tokens.BaseView, Tokens.User, Tokens.Assistant,
	}
	named := map[string]bool{"NAMED_UNSPECIFIED": true, "NAMED_ALL": true}
	for _, set := range said {
		named[set.sets[0].GetNamed().String()] = true
	}
	for name := range v1.Tokens_Named_value {
		if !named[name] {
			t.Errorf("%s is not in Tokens", name)
		}
	}
}

func TestSelectorsCompose(t *testing.T) {
	made := At("projector.hook_tokens", Where{Tokens: Tokens.Visual.Or(Tokens.Last, Tokens.At(1)).Not()}).GetTokens()
	if len(made.GetAnyOf()) != 3 || !made.GetComplement() {
		t.Errorf("%v", made)
	}
	if again := Tokens.Last.Not().Not().message(); !proto.Equal(again, Tokens.Last.message()) {
		t.Errorf("%v", again)
	}
	if nothing := KnockOutAttention(nil, nil).GetKnockOutAttention(); nothing.From != nil || nothing.To != nil {
		t.Errorf("nil is every token: %v", nothing)
	}
}

func TestOptionsSetFurtherFields(t *testing.T) {
	blurred := OccludeAtRandom(0.5, 1, func(m *v1.OccludePatches) { m.Fill = v1.OccludePatches_FILL_BLUR })
	text, err := ToJSON(blurred)
	if err != nil || !strings.Contains(text, "FILL_BLUR") {
		t.Errorf("%s %v", text, err)
	}
	sampling := Sampling(0.7, TopP(0.9), TopK(50), Seed(1), MinP(0.1), RepetitionPenalty(1.1))
	if sampling.GetTopK() != 50 || sampling.GetSeed() != 1 || sampling.GetTopP() != 0.9 {
		t.Errorf("%v", sampling)
	}
}
