# One of each resource of Lambda that the AWS provider knows and Lampyr serves.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}
variable "endpoint" {}
variable "package" {}
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  skip_region_validation      = true
  endpoints {
    lambda = var.endpoint
  }
}
resource "aws_lambda_function" "hello" {
  function_name                  = "terraform"
  role                           = "arn:aws:iam::000000000000:role/lambda"
  runtime                        = "python3.11"
  handler                        = "app.handler"
  filename                       = var.package
  source_code_hash               = filebase64sha256(var.package)
  publish                        = true
  layers                         = [aws_lambda_layer_version.words.arn]
  reserved_concurrent_executions = 5
  environment {
    variables = {
      WORD = "x"
    }
  }
  logging_config {
    log_format            = "JSON"
    application_log_level = "DEBUG"
    system_log_level      = "WARN"
  }
  ephemeral_storage {
    size = 1024
  }
  tags = {
    a = "b"
  }
}
resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.hello.function_name
  function_version = aws_lambda_function.hello.version
}
resource "aws_lambda_permission" "s3" {
  statement_id  = "s3"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.hello.function_name
  qualifier     = aws_lambda_alias.live.name
  principal     = "s3.amazonaws.com"
  source_arn    = "arn:aws:s3:::bucket"
}
resource "aws_lambda_function_event_invoke_config" "live" {
  function_name          = aws_lambda_function.hello.function_name
  qualifier              = aws_lambda_alias.live.name
  maximum_retry_attempts = 1
}

resource "aws_lambda_layer_version" "words" {
  layer_name          = "terraform"
  filename            = var.package
  compatible_runtimes = ["python3.11"]
}
resource "aws_lambda_layer_version_permission" "words" {
  layer_name     = aws_lambda_layer_version.words.layer_name
  version_number = aws_lambda_layer_version.words.version
  principal      = "111122223333"
  action         = "lambda:GetLayerVersion"
  statement_id   = "other"
}
resource "aws_lambda_function_url" "live" {
  function_name      = aws_lambda_function.hello.function_name
  qualifier          = aws_lambda_alias.live.name
  authorization_type = "AWS_IAM"
  cors {
    allow_origins = ["*"]
  }
}
resource "aws_lambda_event_source_mapping" "kafka" {
  function_name     = aws_lambda_alias.live.arn
  enabled           = false
  batch_size        = 5
  topics            = ["topic"]
  starting_position = "LATEST"
  self_managed_event_source {
    endpoints = {
      KAFKA_BOOTSTRAP_SERVERS = "127.0.0.1:9092"
    }
  }
  source_access_configuration {
    type = "BASIC_AUTH"
    uri  = "arn:aws:secretsmanager:us-east-1:000000000000:secret:name-AbCdEf"
  }
  filter_criteria {
    filter {
      pattern = jsonencode({ value = { a = [1] } })
    }
  }
}
resource "aws_lambda_provisioned_concurrency_config" "live" {
  function_name                     = aws_lambda_function.hello.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = 1
}
resource "aws_lambda_runtime_management_config" "hello" {
  function_name     = aws_lambda_function.hello.function_name
  update_runtime_on = "Auto"
}
resource "aws_lambda_function_recursion_config" "hello" {
  function_name  = aws_lambda_function.hello.function_name
  recursive_loop = "Allow"
}
resource "aws_lambda_code_signing_config" "c" {
  allowed_publishers {
    signing_profile_version_arns = ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/1234567890"]
  }
}
